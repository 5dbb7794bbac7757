package edgedeploy

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sin

/**
 * A resampling kernel.
 *
 * @param support half its width in pixels
 * @param weight its weight at a distance, rounded as Pillow rounds it
 * @param plain the same as ondevice/resample.py rounds it, which takes other steps
 */
internal class Kernel(
    val support: Double,
    val weight: (Double) -> Double,
    val plain: (Double) -> Double = weight,
)

internal val KERNELS: Map<String, Kernel> = mapOf(
    "box" to Kernel(0.5, { if (it > -0.5 && it <= 0.5) 1.0 else 0.0 }),
    "bilinear" to Kernel(1.0, { max(0.0, 1.0 - abs(it)) }),
    // Keys 1981, a = -0.5.
    "bicubic" to Kernel(2.0, { pillowCubic(abs(it)) }, { plainCubic(abs(it)) }),
    "lanczos" to Kernel(
        3.0,
        { if (it >= -3.0 && it < 3.0) sinc(it) * sinc(it / 3.0) else 0.0 },
        { plainLanczos(it) },
    ),
)

// Weights are fixed-point numbers with so many bits after the point, as in Pillow's
// 8-bit resampling: its sums are whole numbers, so every device finds the same.
private const val BITS = 22

/**
 * Resize a picture bit for bit as the host does.
 *
 * @param width columns wanted
 * @param height rows wanted
 * @param kernel "nearest", "box", "bilinear", "bicubic" or "lanczos"
 * @param antialias whether the kernel widens when shrinking, as Pillow's do
 */
fun resize(picture: Rgb, width: Int, height: Int, kernel: String, antialias: Boolean): Rgb {
    if (picture.width == width && picture.height == height) return picture
    if (kernel == "nearest") return nearest(picture, width, height)
    val chosen = requireNotNull(KERNELS[kernel]) { "no kernel $kernel" }
    return if (antialias) smooth(picture, width, height, chosen) else plain(picture, width, height, chosen)
}

private fun nearest(picture: Rgb, width: Int, height: Int): Rgb {
    val columns = positions(picture.width, width)
    val rows = positions(picture.height, height)
    val out = ByteArray(3 * width * height)
    for (y in 0 until height) for (x in 0 until width) {
        val from = 3 * (rows[y] * picture.width + columns[x])
        picture.bytes.copyInto(out, 3 * (y * width + x), from, from + 3)
    }
    return Rgb(width, height, out)
}

/** The source pixel of each target pixel; steps are added up, as Pillow adds them. */
private fun positions(from: Int, to: Int): IntArray {
    val step = from.toDouble() / to
    var position = step * 0.5
    return IntArray(to) {
        val found = min(from - 1, position.toInt())
        position += step
        found
    }
}

/** The pixels that make one target pixel, and their fixed-point weights. */
private class Taps(val first: Int, val weights: IntArray)

private fun smooth(picture: Rgb, width: Int, height: Int, kernel: Kernel): Rgb {
    var (values, columns) = picture.bytes to picture.width
    if (width != columns) {
        val taps = taps(columns, width, kernel)
        val out = ByteArray(3 * width * picture.height)
        for (y in 0 until picture.height) for (x in 0 until width) {
            val start = 3 * (y * columns + taps[x].first)
            for (channel in 0 until 3) {
                out[3 * (y * width + x) + channel] =
                    weighted(values, start + channel, 3, taps[x].weights)
            }
        }
        values = out
        columns = width
    }
    if (height != picture.height) {
        val taps = taps(picture.height, height, kernel)
        val out = ByteArray(3 * width * height)
        for (y in 0 until height) for (x in 0 until 3 * width) {
            out[3 * y * width + x] =
                weighted(values, 3 * taps[y].first * width + x, 3 * width, taps[y].weights)
        }
        values = out
    }
    return Rgb(columns, height, values)
}

private fun weighted(values: ByteArray, start: Int, step: Int, weights: IntArray): Byte {
    var sum = 1 shl (BITS - 1)
    var index = start
    for (weight in weights) {
        sum += (values[index].toInt() and 255) * weight
        index += step
    }
    return (sum shr BITS).coerceIn(0, 255).toByte()
}

private fun taps(from: Int, to: Int, kernel: Kernel): Array<Taps> {
    val scale = from.toDouble() / to
    val stretch = max(1.0, scale)
    val support = kernel.support * stretch
    val narrow = 1.0 / stretch
    return Array(to) { target ->
        val centre = (target + 0.5) * scale
        val first = max(0, (centre - support + 0.5).toInt())
        val last = min(from, (centre + support + 0.5).toInt())
        val weights = DoubleArray(last - first) {
            kernel.weight((it + first - centre + 0.5) * narrow)
        }
        val total = weights.fold(0.0) { sum, weight -> sum + weight }
        Taps(first, IntArray(weights.size) { fixed(if (total != 0.0) weights[it] / total else weights[it]) })
    }
}

private fun fixed(weight: Double): Int =
    ((if (weight < 0) -0.5 else 0.5) + weight * (1 shl BITS)).toInt()

/** Without antialias: the kernel keeps its width; rows first, then columns, in doubles. */
private fun plain(picture: Rgb, width: Int, height: Int, kernel: Kernel): Rgb {
    val line = 3 * picture.width
    val values = DoubleArray(picture.bytes.size) { (picture.bytes[it].toInt() and 255).toDouble() }
    val rows = DoubleArray(line * height)
    for ((y, taps) in plainTaps(picture.height, height, kernel).withIndex()) {
        for ((row, weight) in taps) for (x in 0 until line) {
            rows[y * line + x] += values[row * line + x] * weight
        }
    }
    val columns = plainTaps(picture.width, width, kernel)
    val out = ByteArray(3 * width * height)
    for (y in 0 until height) for (x in 0 until width) for (channel in 0 until 3) {
        var sum = 0.0
        for ((column, weight) in columns[x]) sum += rows[y * line + 3 * column + channel] * weight
        out[3 * (y * width + x) + channel] = floor(sum + 0.5).coerceIn(0.0, 255.0).toInt().toByte()
    }
    return Rgb(width, height, out)
}

private fun plainTaps(from: Int, to: Int, kernel: Kernel): List<List<Pair<Int, Double>>> {
    val support = ceil(kernel.support).toInt()
    return List(to) { target ->
        val centre = (target + 0.5) * from / to - 0.5
        val first = floor(centre).toInt() - support + 1
        val taps = (first until first + 2 * support)
            .filter { it in 0 until from }
            .map { it to kernel.plain(it - centre) }
        val total = taps.fold(0.0) { sum, tap -> sum + tap.second }
        taps.map { (index, weight) -> index to weight / total }
    }
}

private fun pillowCubic(x: Double): Double = when {
    x < 1.0 -> (1.5 * x - 2.5) * x * x + 1.0
    x < 2.0 -> (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    else -> 0.0
}

private fun plainCubic(x: Double): Double = when {
    x < 1.0 -> (1.5 * x - 2.5) * x * x + 1.0
    x < 2.0 -> ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    else -> 0.0
}

private fun plainLanczos(x: Double): Double {
    if (x == 0.0) return 1.0
    if (abs(x) >= 3.0) return 0.0
    val t = PI * x
    return 3.0 * sin(t) * sin(t / 3.0) / (t * t)
}

private fun sinc(x: Double): Double = if (x == 0.0) 1.0 else sin(x * PI) / (x * PI)
