package edgedeploy

/** What resizing needs of an interpreter; `litert/LiteRtResizing.kt` has LiteRT's. */
interface Resizing {
    /** Give an input other dimensions; takes effect with [allocateTensors]. */
    fun resizeInput(index: Int, dimensions: IntArray)

    /** Prepare the tensors anew. */
    fun allocateTensors()
}

/**
 * A loaded model that takes pictures of several sizes; nothing is loaded again.
 *
 * @param interpreter of the model, whose input is (batch, height, width, 3)
 * @param pipeline the contract, for the size that the model begins with
 * @param shapes the sizes that it takes, or null for the pipeline's alone
 */
class ResizableModel(
    private val interpreter: Resizing,
    pipeline: ImagePipeline,
    private val shapes: InputShapes?,
) {
    private val own = PictureSize(pipeline.width, pipeline.height)

    // Pictures of the tensors as they are; 0 after a failure, so that the next call
    // prepares again.
    private var pictures = 1

    /** How a picture becomes a tensor of the present size. */
    var pipeline: ImagePipeline = pipeline
        private set

    init {
        if (shapes != null && !shapes.allows(own.width, own.height)) {
            throw UnknownSizeException(
                "the pipeline's size $own is none of the shapes (${shapes.describe()})",
            )
        }
    }

    /**
     * Take pictures of another size, or another number of them, from now on.
     *
     * @param batch pictures at once
     * @throws UnknownSizeException if the model does not take that size
     */
    fun resize(width: Int, height: Int, batch: Int = 1) {
        require(batch > 0) { "batch must be 1 or more; received $batch" }
        val wanted = PictureSize(width, height)
        if (!(shapes?.allows(width, height) ?: (wanted == own))) {
            throw UnknownSizeException(
                "the model takes pictures of ${shapes?.describe() ?: own}; received $wanted",
            )
        }
        if (batch == pictures && wanted == PictureSize(pipeline.width, pipeline.height)) return
        pictures = 0
        interpreter.resizeInput(0, intArrayOf(batch, height, width, 3))
        interpreter.allocateTensors()
        pipeline = pipeline.at(width, height)
        pictures = batch
    }
}
