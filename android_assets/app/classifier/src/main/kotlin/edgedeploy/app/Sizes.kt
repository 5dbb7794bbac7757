package edgedeploy.app

import edgedeploy.PictureSize

// A pixel costs 4 bytes in the bitmap, 4 when they are read, 3 as RGB and 3 more turned
// upright; an eighth of the heap leaves room for two pictures and the rest of the app.
private const val BYTES_A_PIXEL = 14
private const val SHARE_OF_HEAP = 8
private const val MOST_PIXELS = 8L shl 20
private const val FEWEST_PIXELS = 1L shl 16

/** How many pixels of a picture to decode at most, by the heap that the app may have. */
fun pixelBudget(heapBytes: Long): Long =
    (heapBytes / SHARE_OF_HEAP / BYTES_A_PIXEL).coerceIn(FEWEST_PIXELS, MOST_PIXELS)

/**
 * The least power of two to divide a picture's sides by, as BitmapFactory's inSampleSize,
 * so that it has at most so many pixels.
 */
fun sampleSize(width: Int, height: Int, mostPixels: Long): Int {
    require(width > 0 && height > 0) { "not a picture that this device can read" }
    require(mostPixels > 0) { "mostPixels must be positive; received $mostPixels" }
    var size = 1
    // Rounded up: decoders differ in how they round.
    while (divided(width, size) * divided(height, size) > mostPixels) size *= 2
    return size
}

private fun divided(side: Int, by: Int): Long = (side.toLong() + by - 1) / by

/**
 * The size of camera frames to ask for: the fewest pixels with both sides long enough, or
 * else the most there are.
 *
 * @param atLeast shorter side that the network wants, in pixels
 */
fun frameSize(offered: List<PictureSize>, atLeast: Int): PictureSize {
    require(offered.isNotEmpty()) { "the camera offers no sizes" }
    val enough = offered.filter { minOf(it.width, it.height) >= atLeast }
    val pixels = { size: PictureSize -> size.width.toLong() * size.height }
    return enough.minByOrNull(pixels) ?: offered.maxBy(pixels)
}

/**
 * How to turn a camera's frame upright, as a value of EXIF's orientation tag.
 *
 * @param sensorDegrees `SENSOR_ORIENTATION`: 0, 90, 180 or 270
 * @param displayDegrees how far the display is turned from its natural orientation
 * @param facesUser whether it is the front camera
 */
fun frameOrientation(sensorDegrees: Int, displayDegrees: Int, facesUser: Boolean): Int {
    val turned = if (facesUser) sensorDegrees + displayDegrees else sensorDegrees - displayDegrees
    return when (val degrees = turned.mod(360)) {
        0 -> 1
        90 -> 6
        180 -> 3
        270 -> 8
        else -> throw IllegalArgumentException("cameras are turned by right angles; received $degrees")
    }
}
