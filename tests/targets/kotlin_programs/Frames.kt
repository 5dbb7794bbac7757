import edgedeploy.*
import java.io.*

private fun plane(input: DataInputStream): YuvPlane {
    val rowStride = input.readInt()
    val pixelStride = input.readInt()
    return YuvPlane(ByteArray(input.readInt()).also { input.readFully(it) }, rowStride, pixelStride)
}

/** Reads camera frames, colours with alpha and scores; writes RGB, RGB and best classes. */
fun main(arguments: Array<String>) {
    val input = DataInputStream(BufferedInputStream(FileInputStream(arguments[0])))
    val out = DataOutputStream(BufferedOutputStream(FileOutputStream(arguments[1])))
    repeat(input.readInt()) {
        val (width, height) = input.readInt() to input.readInt()
        out.write(convertYuv420(width, height, plane(input), plane(input), plane(input)).bytes)
    }
    repeat(input.readInt()) {
        val (width, height) = input.readInt() to input.readInt()
        val background = List(3) { input.readInt() }
        val pixels = IntArray(width * height) { input.readInt() }
        out.write(Rgb.ofPixels(width, height, pixels, background).bytes)
    }
    repeat(input.readInt()) {
        val scores = FloatArray(input.readInt()) { input.readFloat() }
        val k = input.readInt()
        for (guess in topK(scores, scores.map { it.toString() }, k)) out.writeInt(guess.index)
    }
    repeat(input.readInt()) {
        val type = TensorType(input.readUTF(), input.readDouble(), input.readInt())
        val values = ByteArray(256).also { input.readFully(it) }
        for (value in dequantise(values, type)) out.writeInt(value.toRawBits())
    }
    out.close()
}
