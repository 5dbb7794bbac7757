package edgedeploy

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.util.zip.CRC32

/**
 * What a store remembers, in files that are replaced as a whole.
 *
 * @param current the version in use; 0 for the one that the app shipped
 * @param previous the one before; 0 for the shipped one
 * @param highest the highest that was ever in use, which never shrinks
 * @param trying the one whose self-test was begun and did not end
 * @param attempts how often that was begun
 * @param failed the highest whose self-test failed
 */
internal data class UpdateState(
    val current: Long = 0,
    val previous: Long = 0,
    val highest: Long = 0,
    val trying: Long = 0,
    val attempts: Long = 0,
    val failed: Long = 0,
) {
    /** Never take a version again; without it, [inUse] is the one in use. */
    fun burn(version: Long, inUse: Long): UpdateState = copy(
        current = if (current == version) inUse else current,
        previous = if (current == version) 0 else previous,
        trying = 0,
        attempts = 0,
        failed = maxOf(failed, version),
    )

    fun write(file: File) {
        val temporary = File(file.path + ".partial")
        val numbers = "$current $previous $highest $trying $attempts $failed"
        writeSynced(temporary, "$numbers ${sumOf(numbers)}\n".toByteArray())
        if (!temporary.renameTo(file)) throw UpdateException("$file cannot be replaced")
    }

    companion object {
        /** Read the state; null if the file is missing or damaged. */
        fun read(file: File): UpdateState? {
            val text = try {
                file.readText().trim()
            } catch (_: IOException) {
                return null
            }
            val numbers = text.split(" ").map { it.toLongOrNull() ?: return null }
            if (numbers.size != 7 || numbers.any { it < 0 }) return null
            if (numbers[6] != sumOf(text.substringBeforeLast(" "))) return null
            val (current, previous, highest, trying, attempts) = numbers
            return UpdateState(current, previous, highest, trying, attempts, numbers[5])
        }

        private fun sumOf(text: String): Long = CRC32().apply { update(text.toByteArray()) }.value
    }
}

/** Write a file and wait until it is on the disk. */
internal fun writeSynced(file: File, content: ByteArray) {
    FileOutputStream(file).use {
        it.write(content)
        it.fd.sync()
    }
}
