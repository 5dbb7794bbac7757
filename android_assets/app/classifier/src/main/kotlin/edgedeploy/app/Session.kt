package edgedeploy.app

/**
 * What the screen shows, or will show once its picture is read.
 *
 * A saved state may be asked for while a picture is still being read: then it names that
 * picture, with the square that is to be restored in it, and never another picture's.
 * Not safe for several threads.
 *
 * @param restored what an earlier screen saved; null to begin anew
 * @param threads to begin with
 */
class Session(restored: SavedSession?, threads: Int) {
    private var present = restored ?: SavedSession(null, null, "", threads)
    private var shown: String? = null
    private var isPending = present.picture != null
    private var readings = 0

    /** Which model file; "" before the contract is known. */
    val recipe: String get() = present.recipe

    val threads: Int get() = present.threads

    /** The picture that is restored and that nobody has begun to read; null if there is none. */
    val unread: String? get() = present.picture.takeIf { readings == 0 }

    /** Use another model or number of threads. */
    fun choose(recipe: String, threads: Int) {
        present = present.copy(recipe = recipe, threads = threads)
    }

    /** A picture is going to be read. Gives the number of this reading. */
    fun begin(picture: String): Int {
        present = present.copy(picture = picture, square = null)
        isPending = true
        return ++readings
    }

    /** The restored picture is going to be read, for its own square. As [begin]. */
    fun resume(): Int = ++readings

    /**
     * A picture was read: the square to show of it; null if a later reading takes its place.
     */
    fun finish(reading: Int, width: Int, height: Int): SquareCrop? {
        if (reading != readings) return null
        isPending = false
        shown = present.picture
        val kept = present.square ?: return SquareCrop.centred(width, height)
        return SquareCrop.restored(width, height, kept.left, kept.top, kept.side)
    }

    /** A picture cannot be read: the one before stays. False if a later reading takes its place. */
    fun giveUp(reading: Int): Boolean {
        if (reading != readings) return false
        isPending = false
        present = present.copy(picture = shown, square = null)
        return true
    }

    /**
     * What to save.
     *
     * @param crop the square on the screen; null without a picture
     */
    fun save(crop: SquareCrop?): SavedSession =
        if (isPending) present else present.copy(square = crop?.let { SavedSquare(it.left, it.top, it.side) })
}
