package edgedeploy

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.nio.IntBuffer
import java.security.MessageDigest
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter

/**
 * A model that `inv train.export` wrote, in LiteRT's Interpreter.
 *
 * Not safe for several threads at a time.
 *
 * @param file the memory-mapped .tflite of an uncompressed asset
 * @param options threads and delegates; LiteRT's defaults include XNNPACK
 */
class TfliteLearner(
    file: ByteBuffer,
    options: Interpreter.Options = Interpreter.Options(),
) : Learner, AutoCloseable {
    override val model: String = digest(file)
    private val interpreter = Interpreter(file, options)
    private val inputShape = shape("train", "x")
    override val batchSize = inputShape[0]
    override val classes = shape("train", "y")[1]
    private val rowSize = inputShape.drop(1).fold(1, Int::times)
    private val x = floats(batchSize * rowSize)
    private val y = floats(batchSize * classes)
    private val names = interpreter.getSignatureOutputs("java_save").toList()

    override fun step(x: List<FloatArray>, labels: IntArray, rate: Float): Float {
        fillBatch(x, labels)
        val loss = floats(1)
        val lr = floats(1).put(0, rate)
        val inputs = mapOf<String, Any>("x" to this.x, "y" to y, "lr" to lr)
        interpreter.runSignature(inputs, mapOf<String, Any>("loss" to loss), "train")
        return loss.get(0)
    }

    override fun accuracy(examples: Examples): Float {
        var correct = 0f
        for (start in 0 until examples.size step batchSize) {
            val end = minOf(start + batchSize, examples.size)
            fillBatch(examples.x.subList(start, end), examples.labels.copyOfRange(start, end))
            val found = floats(1)
            val inputs = mapOf<String, Any>("x" to x, "y" to y)
            interpreter.runSignature(inputs, mapOf<String, Any>("correct" to found), "evaluate")
            correct += found.get(0)
        }
        return correct / examples.size
    }

    override fun saveFloats(): Map<String, FloatArray> {
        val buffers = names.filter { !isWhole(it) }.associateWith { floats(size(it)) }
        save(buffers)
        return buffers.mapValues { (_, buffer) -> FloatArray(buffer.capacity()) { buffer.get(it) } }
    }

    override fun saveInts(): Map<String, IntArray> {
        val buffers = names.filter { isWhole(it) }.associateWith { ints(size(it)) }
        if (buffers.isEmpty()) return emptyMap()
        save(buffers)
        return buffers.mapValues { (_, buffer) -> IntArray(buffer.capacity()) { buffer.get(it) } }
    }

    override fun restore(floats: Map<String, FloatArray>, ints: Map<String, IntArray>) {
        require(floats.keys + ints.keys == names.toSet()) { "the state is that of another model" }
        val inputs = HashMap<String, Any>()
        for ((name, values) in floats) {
            require(values.size == size(name)) { "$name: ${values.size} numbers" }
            inputs[name] = floats(values.size).also { buffer ->
                values.forEachIndexed { i, value -> buffer.put(i, value) }
            }
        }
        for ((name, values) in ints) {
            require(values.size == size(name)) { "$name: ${values.size} numbers" }
            inputs[name] = ints(values.size).also { buffer ->
                values.forEachIndexed { i, value -> buffer.put(i, value) }
            }
        }
        interpreter.runSignature(inputs, mapOf<String, Any>("ok" to floats(1)), "restore")
    }

    override fun close() = interpreter.close()

    // A signature that takes nothing cannot be run from Java, so this one takes a number.
    private fun save(buffers: Map<String, Any>) =
        interpreter.runSignature(mapOf<String, Any>("ignored" to floats(1)), buffers, "java_save")

    /** Rows of zeros behind the last are padding, which the model does not learn from. */
    private fun fillBatch(rows: List<FloatArray>, labels: IntArray) {
        require(rows.size <= batchSize && rows.size == labels.size) {
            "a batch has at most $batchSize rows; received ${rows.size}"
        }
        for (i in 0 until x.capacity()) x.put(i, 0f)
        for (i in 0 until y.capacity()) y.put(i, 0f)
        rows.forEachIndexed { row, values ->
            require(values.size == rowSize) { "a row has $rowSize numbers; found ${values.size}" }
            require(labels[row] in 0 until classes) { "labels are 0 to ${classes - 1}" }
            values.forEachIndexed { i, value -> x.put(row * rowSize + i, value) }
            y.put(row * classes + labels[row], 1f)
        }
    }

    private fun shape(signature: String, name: String): IntArray =
        interpreter.getInputTensorFromSignature(name, signature).shape()

    private fun size(name: String) = shape("restore", name).fold(1, Int::times)

    private fun isWhole(name: String) =
        interpreter.getInputTensorFromSignature(name, "restore").dataType() == DataType.INT32
}

private fun floats(count: Int): FloatBuffer =
    ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asFloatBuffer()

private fun ints(count: Int): IntBuffer =
    ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asIntBuffer()

private fun digest(file: ByteBuffer): String {
    val digest = MessageDigest.getInstance("SHA-256")
    digest.update(file.duplicate().apply { rewind() })
    return digest.digest().joinToString("") { "%02x".format(it) }
}
