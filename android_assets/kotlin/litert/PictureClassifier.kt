package edgedeploy

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Interpreter

/**
 * A classifier on LiteRT's Interpreter, with the contract's preprocessing.
 *
 * Pictures go through in batches, and another size of picture or of batch resizes the
 * input: the model is loaded once. Not safe for several threads at a time.
 *
 * @param model the memory-mapped .tflite of an uncompressed asset
 * @param name what errors call it
 * @param pipeline the contract
 * @param labels class names, in the order of the outputs
 * @param input the input tensor, of contract.json
 * @param output the output tensor, of contract.json
 * @param shapes the sizes of picture that the network takes
 * @param batch pictures at once at most; `variants.<recipe>.batch`
 * @param needed operators that the model needs beside LiteRT's; `operators`
 * @param registered names of those that the options register
 * @param options threads and delegates; LiteRT's defaults include XNNPACK
 * @throws MissingOperatorException before the model is opened
 */
class PictureClassifier(
    model: ByteBuffer,
    private val name: String,
    private val pipeline: ImagePipeline,
    private val labels: List<String>,
    private val input: TensorType,
    private val output: TensorType,
    private val shapes: InputShapes = InputShapes.of(null, pipeline),
    private val batch: Int = 1,
    needed: Collection<String> = emptyList(),
    registered: Collection<String> = emptyList(),
    options: Interpreter.Options = Interpreter.Options(),
) : AutoCloseable {
    private val interpreter: Interpreter
    private var shape = intArrayOf()

    init {
        require(batch > 0) { "batch must be 1 or more; received $batch" }
        checkOperators(name, needed, registered)
        interpreter = Interpreter(model, options)
    }

    /**
     * Name what upright pictures show, best guess first.
     *
     * @param pictures of any size and number
     * @param k guesses a picture
     * @param size (width, height) to bring the pictures to, of those that the network takes
     * @return guesses in the order of the pictures
     */
    fun classify(
        pictures: List<Rgb>,
        k: Int = 3,
        size: Pair<Int, Int> = pipeline.width to pipeline.height,
    ): List<List<Guess>> {
        val (width, height) = size
        require(shapes.allows(width, height)) { "$name takes no pictures of ${width}x$height" }
        val contract = pipeline.at(width, height)
        return pictures.chunked(batch).flatMap { part ->
            scores(part.map { contract.fit(it) }, contract).map { topK(it, labels, k) }
        }
    }

    override fun close() = interpreter.close()

    private fun scores(pictures: List<Rgb>, contract: ImagePipeline): List<FloatArray> {
        val wanted = intArrayOf(pictures.size, contract.height, contract.width, 3)
        if (!wanted.contentEquals(shape)) {
            interpreter.resizeInput(0, wanted)
            interpreter.allocateTensors()
            shape = wanted
        }
        val values = buffer(pictures.size * 3 * contract.width * contract.height, input)
        for (picture in pictures) {
            if (input.dtype == "float32") {
                normalise(picture, contract).forEach { values.putFloat(it) }
            } else {
                values.put(quantise(picture, contract, input))
            }
        }
        values.rewind()
        val answers = buffer(pictures.size * labels.size, output)
        interpreter.run(values, answers)
        answers.rewind()
        return List(pictures.size) { read(answers) }
    }

    private fun read(answers: ByteBuffer): FloatArray {
        if (output.dtype == "float32") return FloatArray(labels.size) { answers.getFloat() }
        return dequantise(ByteArray(labels.size).also { answers.get(it) }, output)
    }

    private fun buffer(values: Int, type: TensorType): ByteBuffer =
        ByteBuffer.allocateDirect(if (type.dtype == "float32") 4 * values else values)
            .order(ByteOrder.nativeOrder())
}
