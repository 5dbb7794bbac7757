package edgedeploy.app

import android.content.res.AssetManager
import edgedeploy.Contract
import edgedeploy.PictureClassifier
import edgedeploy.Variant
import edgedeploy.checkDigest
import java.io.FileInputStream
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import org.tensorflow.lite.Interpreter

/**
 * The models among the app's assets.
 *
 * @param folder where contract.json lies
 */
class Models(private val assets: AssetManager, private val folder: String) {
    val contract: Contract by lazy { Contract.parse(text("contract.json")) }
    private val labels: List<String> by lazy { contract.labels(text(contract.labelsFile)) }

    /** Open a file of the bundle. */
    fun bytes(name: String): ByteArray = assets.open("$folder/$name").use { it.readBytes() }

    /**
     * Open a model; its digest is compared before a byte of it is parsed.
     *
     * @throws IllegalStateException if the file is another than the contract's
     */
    fun open(variant: Variant, threads: Int): PictureClassifier {
        val file = map(variant.file)
        checkDigest(variant, file)
        return PictureClassifier(
            file,
            variant.recipe,
            contract.pipeline,
            labels,
            variant.input,
            variant.output,
            contract.shapes,
            variant.batch,
            contract.operators,
            emptyList(),
            Interpreter.Options().setNumThreads(threads),
        )
    }

    private fun text(name: String) = bytes(name).decodeToString(throwOnInvalidSequence = true)

    /** Map an asset; only an uncompressed one has a place in the package. */
    private fun map(name: String): MappedByteBuffer =
        assets.openFd("$folder/$name").use { place ->
            FileInputStream(place.fileDescriptor).use { stream ->
                stream.channel.map(FileChannel.MapMode.READ_ONLY, place.startOffset, place.declaredLength)
            }
        }
}
