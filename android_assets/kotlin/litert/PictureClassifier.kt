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
 * @param file the memory-mapped .tflite of an uncompressed asset
 * @param name what errors call it
 * @param pipeline the contract
 * @param labels class names, in the order of the outputs
 * @param input the input tensor, of contract.json
 * @param output the output tensor, of contract.json
 * @param shapes the sizes of picture that the network takes; null for the contract's alone
 * @param batch pictures at once at most; `variants.<recipe>.batch`
 * @param needed operators that the model needs beside LiteRT's; `operators`
 * @param registered names of those that the options register
 * @param options threads and delegates; LiteRT's defaults include XNNPACK, without which
 *     models with a step for every few weights answer nonsense, so leave it on
 * @throws MissingOperatorException before the model is opened
 */
class PictureClassifier(
    file: ByteBuffer,
    private val name: String,
    pipeline: ImagePipeline,
    private val labels: List<String>,
    private val input: TensorType,
    private val output: TensorType,
    shapes: InputShapes? = null,
    private val batch: Int = 1,
    needed: Collection<String> = emptyList(),
    registered: Collection<String> = emptyList(),
    options: Interpreter.Options = Interpreter.Options(),
) : AutoCloseable {
    private val own = PictureSize(pipeline.width, pipeline.height)
    private val interpreter: Interpreter
    private val model: ResizableModel

    init {
        require(batch > 0) { "batch must be 1 or more; received $batch" }
        checkOperators(name, needed, registered)
        interpreter = Interpreter(file, options)
        model = ResizableModel(LiteRtResizing(interpreter), pipeline, shapes)
    }

    /**
     * Name what upright pictures show, best guess first.
     *
     * @param pictures of any size and number
     * @param k guesses a picture
     * @param size to bring the pictures to, of those that the network takes
     * @return guesses in the order of the pictures
     * @throws UnknownSizeException if the network does not take that size
     */
    fun classify(pictures: List<Rgb>, k: Int = 3, size: PictureSize = own): List<List<Guess>> =
        pictures.chunked(batch).flatMap { part ->
            model.resize(size.width, size.height, part.size)
            scores(part.map { model.pipeline.fit(it) }).map { topK(it, labels, k) }
        }

    /** Scores of all classes for one upright picture, as its self-test compares them. */
    fun scores(picture: Rgb): FloatArray {
        model.resize(own.width, own.height, 1)
        return scores(listOf(model.pipeline.fit(picture))).single()
    }

    override fun close() = interpreter.close()

    private fun scores(pictures: List<Rgb>): List<FloatArray> {
        val contract = model.pipeline
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
