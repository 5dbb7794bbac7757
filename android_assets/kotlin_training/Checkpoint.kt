package edgedeploy

import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.security.MessageDigest

/** A checkpoint cannot be written, or none of its files is whole. */
class CheckpointException(message: String, cause: Throwable? = null) :
    IOException(message, cause)

/**
 * The state of a training. It holds numbers alone, never a picture.
 *
 * @property model SHA-256 of the model file that it belongs to
 * @property epoch epochs that are done
 * @property position rows of the running epoch that are done
 * @property lossSum of those rows
 * @property accuracies test accuracy after each epoch
 * @property floats weights, statistics and the optimizer's state, by the signature's names
 * @property ints the same of whole numbers
 */
class Checkpoint(
    val model: String,
    val epoch: Int,
    val position: Int,
    val lossSum: Double,
    val accuracies: List<Float>,
    val floats: Map<String, FloatArray>,
    val ints: Map<String, IntArray>,
)

private val MAGIC = "EDTRAINK1\n".toByteArray()
private const val DIGEST_BYTES = 32

/**
 * Write a checkpoint, and keep the one before beside it as NAME.previous.
 *
 * At every moment one of the two is a whole file.
 *
 * @throws CheckpointException if the disk is full or the folder cannot be written
 */
fun writeCheckpoint(file: File, checkpoint: Checkpoint) {
    val body = pack(checkpoint)
    try {
        // A damaged file must not push out the whole one before it.
        if (readWhole(file) != null) replace(previous(file), file.readBytes())
        replace(file, MAGIC + sha256(body) + body)
    } catch (error: IOException) {
        throw CheckpointException("$file: the checkpoint cannot be written", error)
    }
}

/**
 * Read the newest whole checkpoint.
 *
 * @return null where none was ever written
 * @throws CheckpointException if there are files, and none of them is whole
 */
fun readCheckpoint(file: File): Checkpoint? {
    val candidates = listOf(file, previous(file)).filter { it.exists() }
    if (candidates.isEmpty()) return null
    for (candidate in candidates) {
        val whole = readWhole(candidate)
        if (whole != null) return whole
    }
    throw CheckpointException("$file and the one before are damaged; delete them to begin anew")
}

private fun previous(file: File) = File(file.path + ".previous")

private fun replace(file: File, data: ByteArray) {
    val temporary = File(file.path + ".partial")
    FileOutputStream(temporary).use {
        it.write(data)
        it.flush()
        it.fd.sync()
    }
    // rename(2) takes the old file's place in one step.
    if (!temporary.renameTo(file)) throw IOException("cannot rename $temporary")
}

private fun readWhole(file: File): Checkpoint? {
    val data = try {
        file.readBytes()
    } catch (_: IOException) {
        return null
    }
    val start = MAGIC.size + DIGEST_BYTES
    if (data.size < start || !data.copyOf(MAGIC.size).contentEquals(MAGIC)) return null
    val body = data.copyOfRange(start, data.size)
    val digest = data.copyOfRange(MAGIC.size, start)
    // The digest is ours and fits, so what follows is what was packed.
    return if (sha256(body).contentEquals(digest)) unpack(body) else null
}

private fun sha256(data: ByteArray): ByteArray =
    MessageDigest.getInstance("SHA-256").digest(data)

private fun pack(checkpoint: Checkpoint): ByteArray {
    val bytes = ByteArrayOutputStream()
    DataOutputStream(bytes).use { out ->
        out.writeUTF(checkpoint.model)
        out.writeInt(checkpoint.epoch)
        out.writeInt(checkpoint.position)
        out.writeDouble(checkpoint.lossSum)
        out.writeInt(checkpoint.accuracies.size)
        checkpoint.accuracies.forEach(out::writeFloat)
        out.writeInt(checkpoint.floats.size)
        for ((name, values) in checkpoint.floats) {
            out.writeUTF(name)
            out.writeInt(values.size)
            values.forEach(out::writeFloat)
        }
        out.writeInt(checkpoint.ints.size)
        for ((name, values) in checkpoint.ints) {
            out.writeUTF(name)
            out.writeInt(values.size)
            values.forEach(out::writeInt)
        }
    }
    return bytes.toByteArray()
}

private fun unpack(body: ByteArray): Checkpoint {
    val input = DataInputStream(ByteArrayInputStream(body))
    return Checkpoint(
        model = input.readUTF(),
        epoch = input.readInt(),
        position = input.readInt(),
        lossSum = input.readDouble(),
        accuracies = List(input.readInt()) { input.readFloat() },
        floats = readMap(input) { FloatArray(input.readInt()) { input.readFloat() } },
        ints = readMap(input) { IntArray(input.readInt()) { input.readInt() } },
    )
}

private fun <T> readMap(input: DataInputStream, read: () -> T): Map<String, T> {
    val found = LinkedHashMap<String, T>()
    repeat(input.readInt()) { found[input.readUTF()] = read() }
    return found
}
