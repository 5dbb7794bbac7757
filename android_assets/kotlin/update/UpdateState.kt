package edgedeploy

import java.io.File
import java.io.FileOutputStream
import java.io.IOException

/**
 * What a store remembers, in a file that is replaced as a whole.
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
    fun write(file: File) {
        val temporary = File(file.path + ".partial")
        writeSynced(temporary, "$current $previous $highest $trying $attempts $failed\n".toByteArray())
        if (!temporary.renameTo(file)) throw UpdateException("$file cannot be replaced")
    }

    companion object {
        /** Read the state; a missing or damaged file means the shipped model. */
        fun read(file: File): UpdateState {
            val numbers = try {
                file.readText().trim().split(" ").map { it.toLong() }
            } catch (error: IOException) {
                return UpdateState()
            } catch (error: NumberFormatException) {
                return UpdateState()
            }
            if (numbers.size != 6 || numbers.any { it < 0 }) return UpdateState()
            val (current, previous, highest, trying, attempts) = numbers
            return UpdateState(current, previous, highest, trying, attempts, numbers[5])
        }
    }
}

/** Write a file and wait until it is on the disk. */
internal fun writeSynced(file: File, content: ByteArray) {
    FileOutputStream(file).use {
        it.write(content)
        it.fd.sync()
    }
}
