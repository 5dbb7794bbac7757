package edgedeploy

/** A size of picture in pixels. */
data class PictureSize(val width: Int, val height: Int) {
    override fun toString() = "${width}x$height"
}

/** The bundle's models do not take the size that was asked for. */
class UnknownSizeException(message: String) : IllegalArgumentException(message)

/**
 * The sizes of picture that a network takes: `shapes` of contract.json, the same as
 * `ondevice/shapes.py`'s. Made by [enumerated] or by [range].
 */
class InputShapes private constructor(
    private val sizes: List<PictureSize>,
    private val smallest: PictureSize?,
    private val largest: PictureSize?,
    private val step: PictureSize?,
) {
    /** Whether the network takes a size. */
    fun allows(width: Int, height: Int): Boolean {
        if (smallest == null || largest == null || step == null) {
            return PictureSize(width, height) in sizes
        }
        return within(width, smallest.width, largest.width, step.width) &&
            within(height, smallest.height, largest.height, step.height)
    }

    /** In words, which sizes there are. */
    fun describe(): String {
        if (smallest == null || largest == null || step == null) return sizes.joinToString()
        val by = if (step.width == step.height) "${step.width}" else "$step"
        return "$smallest to $largest in steps of $by"
    }

    companion object {
        /** A list of sizes, at least one. */
        fun enumerated(sizes: Collection<PictureSize>): InputShapes {
            require(sizes.isNotEmpty() && sizes.toSet().size == sizes.size) {
                "sizes must list sizes, each once; received $sizes"
            }
            sizes.forEach(::check)
            val order = compareBy<PictureSize>({ it.width }, { it.height })
            return InputShapes(sizes.sortedWith(order), null, null, null)
        }

        /** Whole steps from the smallest to the largest, both included. */
        fun range(smallest: PictureSize, largest: PictureSize, step: PictureSize): InputShapes {
            listOf(smallest, largest, step).forEach(::check)
            require(
                within(largest.width, smallest.width, largest.width, step.width) &&
                    within(largest.height, smallest.height, largest.height, step.height),
            ) { "from $smallest to $largest is no whole number of steps of $step" }
            return InputShapes(emptyList(), smallest, largest, step)
        }

        private fun check(size: PictureSize) =
            require(size.width in 1..8192 && size.height in 1..8192) {
                "width and height must be 1 to 8192; received $size"
            }

        private fun within(side: Int, first: Int, last: Int, by: Int) =
            side in first..last && (side - first) % by == 0
    }
}
