package edgedeploy.app

import edgedeploy.Box
import kotlin.math.min
import kotlin.math.roundToInt

/**
 * The square of a picture that lies under a square frame on the screen.
 *
 * Numbers are pixels of the picture; the square always lies inside it. Values are made
 * by [centred] and [restored] and changed by gestures, each giving a new value.
 */
class SquareCrop private constructor(
    val width: Int,
    val height: Int,
    val left: Double,
    val top: Double,
    val side: Double,
) {
    /**
     * Follow a finger.
     *
     * @param right how far it went, in sides of the frame; the picture goes along, so the
     *   square goes the other way
     * @param down the same, downwards
     */
    fun dragged(right: Double, down: Double): SquareCrop =
        inside(width, height, left - right * side, top - down * side, side)

    /**
     * Follow a pinch.
     *
     * @param factor by which the fingers parted; above 1 enlarges
     * @param x where between them, in sides of the frame from its left; this point of the
     *   picture stays there
     * @param y the same, from its top
     */
    fun pinched(factor: Double, x: Double, y: Double): SquareCrop {
        if (!(factor > 0) || factor.isInfinite()) return this
        val next = (side / factor).coerceIn(smallest(width, height), min(width, height).toDouble())
        return inside(width, height, left + x * (side - next), top + y * (side - next), next)
    }

    /** The square in whole pixels. */
    fun box(): Box {
        val whole = side.roundToInt().coerceIn(1, min(width, height))
        return Box(
            left.roundToInt().coerceIn(0, width - whole),
            top.roundToInt().coerceIn(0, height - whole),
            whole,
            whole,
        )
    }

    companion object {
        // Less shows nothing; a picture that is smaller still is taken whole.
        private const val MIN_SIDE = 32

        /** The largest square, in the middle. */
        fun centred(width: Int, height: Int): SquareCrop {
            require(width > 0 && height > 0) { "a picture has pixels; received ${width}x$height" }
            val side = min(width, height).toDouble()
            return SquareCrop(width, height, (width - side) / 2, (height - side) / 2, side)
        }

        /** A square that was kept, brought back inside; the picture may have changed since. */
        fun restored(width: Int, height: Int, left: Double, top: Double, side: Double): SquareCrop {
            val whole = centred(width, height)
            if (listOf(left, top, side).any { it.isNaN() || it.isInfinite() }) return whole
            val kept = side.coerceIn(smallest(width, height), min(width, height).toDouble())
            return inside(width, height, left, top, kept)
        }

        private fun inside(width: Int, height: Int, left: Double, top: Double, side: Double) =
            SquareCrop(width, height, left.coerceIn(0.0, width - side), top.coerceIn(0.0, height - side), side)

        private fun smallest(width: Int, height: Int) = min(MIN_SIDE, min(width, height)).toDouble()
    }
}
