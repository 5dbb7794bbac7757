import edgedeploy.*
import java.io.*

/** Reads picture cases from a file and writes RGB and tensors. */
fun main(arguments: Array<String>) {
    val input = DataInputStream(BufferedInputStream(FileInputStream(arguments[0])))
    val out = DataOutputStream(BufferedOutputStream(FileOutputStream(arguments[1])))
    repeat(input.readInt()) {
        val orientation = input.readInt()
        val width = input.readInt()
        val height = input.readInt()
        val bytes = ByteArray(3 * width * height).also { input.readFully(it) }
        val fields = mutableMapOf<String, Any?>()
        for (name in listOf("width", "height")) fields[name] = input.readInt()
        for (name in listOf("crop", "order", "kernel", "channels")) fields[name] = input.readUTF()
        fields["crop_fraction"] = input.readDouble()
        fields["antialias"] = input.readBoolean()
        for (name in listOf("mean", "std")) fields[name] = List(3) { input.readDouble() }
        val pipeline = ImagePipeline.of(fields)
        val type = TensorType(input.readUTF(), input.readDouble(), input.readInt())
        val fitted = pipeline.fit(Rgb(width, height, bytes).upright(orientation))
        out.write(fitted.bytes)
        for (value in normalise(fitted, pipeline)) out.writeInt(value.toRawBits())
        out.write(quantise(fitted, pipeline, type))
    }
    out.close()
}
