package edgedeploy

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.io.InputStream
import java.io.RandomAccessFile
import java.security.MessageDigest
import java.security.PublicKey
import java.util.zip.ZipFile

/**
 * Models that came after the app: installs signed updates, and goes back when one fails.
 *
 * An update is used only when its signature holds, it is for this model, this contract and
 * this app, its version is higher than any before, every file has its digest, and the
 * self-test passes. Until then, and if the process is killed at any moment, the model in
 * use stays in use. Safe for several threads and processes.
 *
 * @param folder the store's own, below the app's filesDir
 * @param model the model's name
 * @param key what [updateKey] gave
 * @param appVersion the app's versionCode
 * @param shippedVersion the version of the model that the app's own assets hold
 * @param contract the contract that the app's code can follow
 * @param maxBytes refuse larger updates
 */
class ModelStore(
    private val folder: File,
    private val model: String,
    private val key: PublicKey,
    private val appVersion: Long,
    private val shippedVersion: Long,
    private val contract: Long = 1,
    private val maxBytes: Long = 1L shl 30,
) {
    private val stateFile = File(folder, "state")
    private val versions = File(folder, "versions")

    /**
     * The folder of the model in use, checked file by file; null for the app's own.
     *
     * A damaged version is given up for the one before it.
     */
    fun current(): File? = locked {
        val state = UpdateState.read(stateFile)
        val usable = listOf(state.current, state.previous).filter { it > shippedVersion }
        usable.map { versionFolder(it) }.firstOrNull { isIntact(it) }
    }

    /**
     * Install an update and use it.
     *
     * @param update the downloaded file
     * @param selfTest gets the folder with the new files; throws if its answers are wrong
     * @return the folder that is now in use
     * @throws UpdateException if it is refused; what was in use stays in use
     */
    fun install(update: File, selfTest: (File) -> Unit): File = locked {
        var state = UpdateState.read(stateFile)
        removeLeftovers(state)
        val staging = File(versions, STAGING)
        val manifest = unpack(update, state, staging)
        val version = manifest.version
        val again = if (state.trying == version) state.attempts + 1 else 1
        // Native code may take the process down: then this is what is remembered.
        state = state.copy(trying = version, attempts = again)
        state.write(stateFile)
        try {
            selfTest(staging)
        } catch (error: Exception) {
            staging.deleteRecursively()
            state.copy(trying = 0, attempts = 0, failed = maxOf(state.failed, version)).write(stateFile)
            throw UpdateException("version $version fails its self-test: ${error.message}", error)
        }
        val place = versionFolder(version)
        if (!staging.renameTo(place)) throw UpdateException("$place cannot be made")
        state = state.copy(
            current = version, previous = state.current, highest = version, trying = 0, attempts = 0,
        )
        state.write(stateFile)
        removeLeftovers(state)
        place
    }

    /**
     * Go back to the version before; the one that was left is never taken again.
     *
     * @return its folder; null for the app's own model
     */
    fun rollBack(): File? {
        locked {
            val state = UpdateState.read(stateFile)
            val changed = state.copy(current = state.previous, previous = 0, failed = maxOf(state.failed, state.current))
            changed.write(stateFile)
            removeLeftovers(changed)
        }
        return current()
    }

    private fun unpack(update: File, state: UpdateState, staging: File): UpdateManifest = try {
        ZipFile(update).use { archive ->
            val text = read(archive, UpdateManifest.NAME, UpdateManifest.MAX_BYTES)
            val signature = read(archive, UpdateManifest.SIGNATURE, UpdateManifest.MAX_BYTES)
            val manifest = UpdateManifest.verified(text, signature, key)
            check(manifest, state)
            val listed = manifest.files.map { it.name }.toSet() + setOf(UpdateManifest.NAME, UpdateManifest.SIGNATURE)
            for (entry in archive.entries()) {
                if (entry.name !in listed) throw UpdateException("the update holds ${entry.name.take(80)}, which is not signed")
            }
            if (!staging.mkdirs()) throw UpdateException("$staging cannot be made")
            for (file in manifest.files) {
                val entry = archive.getEntry(file.name) ?: throw UpdateException("the update lacks ${file.name}")
                archive.getInputStream(entry).use { copy(it, file, File(staging, file.name)) }
            }
            writeSynced(File(staging, UpdateManifest.NAME), text)
            writeSynced(File(staging, UpdateManifest.SIGNATURE), signature)
            manifest
        }
    } catch (error: UpdateException) {
        staging.deleteRecursively()
        throw error
    } catch (error: IOException) {
        staging.deleteRecursively()
        throw UpdateException("the update cannot be read: ${error.message}", error)
    } catch (error: IllegalArgumentException) {
        // What ZipFile throws for names that are no text.
        staging.deleteRecursively()
        throw UpdateException("the update cannot be read: ${error.message}", error)
    }

    private fun check(manifest: UpdateManifest, state: UpdateState) {
        val version = manifest.version
        val newest = maxOf(shippedVersion, state.highest, state.failed)
        val tired = state.trying == version && state.attempts >= MAX_ATTEMPTS
        val bytes = manifest.files.fold(0L) { sum, file -> minOf(sum + file.bytes, Long.MAX_VALUE / 2) }
        val problem = when {
            manifest.model != model -> "is for the model ${manifest.model}, not $model"
            manifest.contract != contract -> "has contract ${manifest.contract}; this app follows $contract"
            manifest.minAppVersion > appVersion -> "needs the app's version ${manifest.minAppVersion}; this is $appVersion"
            version <= newest -> "is not newer than $newest"
            tired -> "ended the process $MAX_ATTEMPTS times in its self-test"
            bytes > maxBytes -> "has $bytes bytes; at most $maxBytes are taken"
            bytes > folder.usableSpace -> "needs $bytes bytes; ${folder.usableSpace} are free"
            else -> return
        }
        throw UpdateException("version $version $problem")
    }

    private fun read(archive: ZipFile, name: String, limit: Int): ByteArray {
        val entry = archive.getEntry(name) ?: throw UpdateException("the update lacks $name")
        val buffer = ByteArray(limit + 1)
        var count = 0
        archive.getInputStream(entry).use {
            while (count < buffer.size) {
                val got = it.read(buffer, count, buffer.size - count)
                if (got < 0) break
                count += got
            }
        }
        if (count > limit) throw UpdateException("$name is over $limit bytes")
        return buffer.copyOf(count)
    }

    private fun copy(source: InputStream, file: UpdateFile, target: File) {
        target.parentFile.mkdirs()
        val digest = MessageDigest.getInstance("SHA-256")
        var left = file.bytes
        FileOutputStream(target).use { out ->
            val buffer = ByteArray(PIECE)
            while (true) {
                val got = source.read(buffer)
                if (got < 0) break
                left -= got
                if (left < 0) throw UpdateException("${file.name} is longer than signed")
                digest.update(buffer, 0, got)
                out.write(buffer, 0, got)
            }
            out.fd.sync()
        }
        if (left != 0L || hex(digest) != file.sha256) throw UpdateException("${file.name} is not what was signed")
    }

    private fun isIntact(place: File): Boolean = try {
        val text = File(place, UpdateManifest.NAME).readBytes()
        val manifest = UpdateManifest.verified(text, File(place, UpdateManifest.SIGNATURE).readBytes(), key)
        val fits = manifest.model == model && manifest.contract == contract && manifest.minAppVersion <= appVersion
        fits && manifest.files.all { File(place, it.name).isFile && digestOf(File(place, it.name)) == it.sha256 }
    } catch (error: IOException) {
        false
    } catch (error: UpdateException) {
        false
    }

    private fun digestOf(file: File): String {
        val digest = MessageDigest.getInstance("SHA-256")
        file.inputStream().use {
            val buffer = ByteArray(PIECE)
            while (true) {
                val got = it.read(buffer)
                if (got < 0) break
                digest.update(buffer, 0, got)
            }
        }
        return hex(digest)
    }

    private fun removeLeftovers(state: UpdateState) {
        val kept = setOf(state.current.toString(), state.previous.toString())
        versions.listFiles()?.filter { it.name !in kept }?.forEach { it.deleteRecursively() }
    }

    private fun versionFolder(version: Long) = File(versions, version.toString())

    private fun <T> locked(run: () -> T): T = synchronized(MONITOR) {
        folder.mkdirs()
        try {
            RandomAccessFile(File(folder, "lock"), "rw").use { file ->
                file.channel.lock().use { run() }
            }
        } catch (error: IOException) {
            throw UpdateException("$folder cannot be used: ${error.message}", error)
        }
    }

    private companion object {
        const val STAGING = "staging"
        const val PIECE = 1 shl 16
        // Killed by hand in a self-test once or twice is no fault of the model.
        const val MAX_ATTEMPTS = 3
        val MONITOR = Any()

        fun hex(digest: MessageDigest): String =
            digest.digest().joinToString("") { "%02x".format(it) }
    }
}
