package edgedeploy.app

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ColorSpace
import android.media.ExifInterface
import android.net.Uri
import android.os.Build
import edgedeploy.Contract
import edgedeploy.Rgb
import java.io.ByteArrayInputStream
import java.io.FileNotFoundException
import java.io.InputStream

/** Decode a picture as the contract says: turned upright, without transparency, sampled if huge. */
fun readPicture(resolver: ContentResolver, address: Uri, contract: Contract): Rgb =
    decode(contract) { resolver.openInputStream(address) ?: throw FileNotFoundException("$address") }

/** Decode a picture's bytes, as [readPicture]. */
fun readPicture(bytes: ByteArray, contract: Contract): Rgb = decode(contract) { ByteArrayInputStream(bytes) }

/** A picture for the screen. */
fun Rgb.toBitmap(): Bitmap = Bitmap.createBitmap(toPixels(), width, height, Bitmap.Config.ARGB_8888)

private fun decode(contract: Contract, open: () -> InputStream): Rgb {
    val options = BitmapFactory.Options()
    options.inJustDecodeBounds = true
    open().use { BitmapFactory.decodeStream(it, null, options) }
    options.inSampleSize =
        sampleSize(options.outWidth, options.outHeight, pixelBudget(Runtime.getRuntime().maxMemory()))
    options.inJustDecodeBounds = false
    options.inScaled = false
    options.inPreferredConfig = Bitmap.Config.ARGB_8888
    // The contract lays colours over its own background; premultiplied ones are rounded.
    options.inPremultiplied = false
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O) {
        options.inPreferredColorSpace = ColorSpace.get(ColorSpace.Named.SRGB)
    }
    val bitmap = requireNotNull(open().use { BitmapFactory.decodeStream(it, null, options) }) {
        "not a picture that this device can read"
    }
    val (width, height) = bitmap.width to bitmap.height
    val pixels = IntArray(width * height)
    bitmap.getPixels(pixels, 0, width, 0, 0, width, height)
    bitmap.recycle()
    val picture = Rgb.ofPixels(width, height, pixels, contract.alphaOver)
    return if (contract.exif) picture.upright(orientation(open)) else picture
}

private fun orientation(open: () -> InputStream): Int = open().use {
    ExifInterface(it).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
}
