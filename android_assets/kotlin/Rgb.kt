package edgedeploy

/**
 * An 8-bit RGB picture.
 *
 * @param width columns
 * @param height rows
 * @param bytes red, green, blue of each pixel, row after row
 */
class Rgb(val width: Int, val height: Int, val bytes: ByteArray) {
    init {
        require(width > 0 && height > 0 && bytes.size.toLong() == 3L * width * height) {
            "a picture of ${width}x$height has ${3L * width * height} bytes; " +
                "received ${bytes.size}"
        }
    }

    /** The part of the picture in a box. */
    fun cut(box: Box): Rgb {
        require(
            box.left >= 0 && box.top >= 0 &&
                box.left + box.width <= width && box.top + box.height <= height
        ) { "$box lies outside a picture of ${width}x$height" }
        if (box.width == width && box.height == height) return this
        val out = ByteArray(3 * box.width * box.height)
        for (row in 0 until box.height) {
            val start = 3 * ((box.top + row) * width + box.left)
            bytes.copyInto(out, 3 * row * box.width, start, start + 3 * box.width)
        }
        return Rgb(box.width, box.height, out)
    }

    /** Packed opaque colours, as Android's `Bitmap.setPixels` takes them. */
    fun toPixels(): IntArray = IntArray(width * height) {
        val red = bytes[3 * it].toInt() and 255
        val green = bytes[3 * it + 1].toInt() and 255
        val blue = bytes[3 * it + 2].toInt() and 255
        (255 shl 24) or (red shl 16) or (green shl 8) or blue
    }

    /**
     * The picture turned upright.
     *
     * @param orientation value 1 to 8 of the EXIF tag; others leave it as it is
     */
    fun upright(orientation: Int): Rgb {
        if (orientation !in 2..8) return this
        val turned = orientation >= 5
        val columns = if (turned) height else width
        val rows = if (turned) width else height
        val out = ByteArray(bytes.size)
        for (y in 0 until rows) for (x in 0 until columns) {
            val (column, row) = when (orientation) {
                2 -> width - 1 - x to y
                3 -> width - 1 - x to height - 1 - y
                4 -> x to height - 1 - y
                5 -> y to x
                6 -> y to height - 1 - x
                7 -> width - 1 - y to height - 1 - x
                else -> width - 1 - y to x
            }
            val from = 3 * (row * width + column)
            bytes.copyInto(out, 3 * (y * columns + x), from, from + 3)
        }
        return Rgb(columns, rows, out)
    }

    companion object {
        /** From packed colours, as Android's `Bitmap.getPixels` gives them; alpha is dropped. */
        fun ofPixels(width: Int, height: Int, pixels: IntArray): Rgb {
            val bytes = ByteArray(3 * pixels.size)
            for ((index, pixel) in pixels.withIndex()) {
                bytes[3 * index] = (pixel shr 16).toByte()
                bytes[3 * index + 1] = (pixel shr 8).toByte()
                bytes[3 * index + 2] = pixel.toByte()
            }
            return Rgb(width, height, bytes)
        }

        /**
         * From packed colours that are not premultiplied, laid over a background.
         *
         * @param background red, green and blue, 0 to 255; `pipeline.alpha_over`
         */
        fun ofPixels(width: Int, height: Int, pixels: IntArray, background: List<Int>): Rgb {
            val picture = ofPixels(width, height, pixels)
            for ((index, pixel) in pixels.withIndex()) {
                val alpha = pixel ushr 24
                if (alpha == 255) continue
                for (channel in 0 until 3) {
                    val place = 3 * index + channel
                    val over = (picture.bytes[place].toInt() and 255) * alpha
                    // Divided by 255 and rounded, as Pillow composes pictures.
                    val sum = over + background[channel] * (255 - alpha) + 128
                    picture.bytes[place] = (((sum shr 8) + sum) shr 8).toByte()
                }
            }
            return picture
        }
    }
}
