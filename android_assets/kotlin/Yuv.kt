package edgedeploy

/**
 * One plane of a camera frame, as `android.media.Image.Plane` describes it.
 *
 * @param bytes its memory; the last row may end with its last value
 * @param rowStride bytes from one row to the next
 * @param pixelStride bytes from one value to the next in a row
 */
class YuvPlane(val bytes: ByteArray, val rowStride: Int, val pixelStride: Int) {
    internal fun require(name: String, columns: Int, rows: Int) {
        val needed = (rows - 1L) * rowStride + (columns - 1L) * pixelStride + 1
        require(pixelStride > 0 && rowStride >= (columns - 1L) * pixelStride + 1 && bytes.size >= needed) {
            "plane $name of ${columns}x$rows with strides $rowStride and $pixelStride needs " +
                "$needed bytes; received ${bytes.size}"
        }
    }
}

// JFIF's full-range BT.601, which Camera2 states for YUV_420_888 (DataSpace JFIF), in
// fixed point with six bits: what Pillow's convert("RGB") of a YCbCr picture computes.
private const val BITS = 6
private val RED_CR = IntArray(256) { product(1.402, it) }
private val GREEN_CB = IntArray(256) { product(-0.34414, it) }
private val GREEN_CR = IntArray(256) { product(-0.71414, it) }
private val BLUE_CB = IntArray(256) { product(1.772, it) }

private fun product(factor: Double, value: Int) = (factor * (1 shl BITS) * (value - 128) + 0.5).toInt()

/**
 * Convert a YUV 4:2:0 camera frame to RGB; two by two pixels share their colour.
 *
 * @param width columns; odd ones have a chroma column of their own, as rows do
 * @param height rows
 * @param luma the Y plane
 * @param cb the U plane; may share its memory with [cr], interleaved
 * @param cr the V plane
 * @return full-range BT.601 as RGB, saturated
 */
fun convertYuv420(width: Int, height: Int, luma: YuvPlane, cb: YuvPlane, cr: YuvPlane): Rgb {
    require(width in 1..8192 && height in 1..8192) {
        "width and height must be 1 to 8192; received ${width}x$height"
    }
    luma.require("Y", width, height)
    cb.require("U", (width + 1) / 2, (height + 1) / 2)
    cr.require("V", (width + 1) / 2, (height + 1) / 2)
    val out = ByteArray(3 * width * height)
    var to = 0
    for (row in 0 until height) {
        val lumaRow = row * luma.rowStride
        val cbRow = row / 2 * cb.rowStride
        val crRow = row / 2 * cr.rowStride
        for (column in 0 until width) {
            val y = luma.bytes[lumaRow + column * luma.pixelStride].toInt() and 255
            val u = cb.bytes[cbRow + column / 2 * cb.pixelStride].toInt() and 255
            val v = cr.bytes[crRow + column / 2 * cr.pixelStride].toInt() and 255
            out[to++] = saturated(y + (RED_CR[v] shr BITS))
            out[to++] = saturated(y + ((GREEN_CB[u] + GREEN_CR[v]) shr BITS))
            out[to++] = saturated(y + (BLUE_CB[u] shr BITS))
        }
    }
    return Rgb(width, height, out)
}

private fun saturated(value: Int): Byte = value.coerceIn(0, 255).toByte()
