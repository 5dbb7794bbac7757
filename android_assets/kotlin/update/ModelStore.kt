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
    private val stateCopy = File(folder, "state.copy")
    private val versions = File(folder, "versions")

    /**
     * The folder of the model in use, checked file by file; null for the app's own.
     *
     * A damaged version is given up for the one before it.
     */
    fun current(): File? = locked { folderInUse(readState()) }

    /**
     * Install an update and use it; the version in use again only if it is damaged.
     *
     * @param update the downloaded file
     * @param selfTest gets the folder with the new files; throws [SelfTestException] if its
     *   answers are wrong. Anything else that it throws is an attempt that did not end. It
     *   must not ask this store
     * @return the folder that is now in use
     * @throws UpdateException if it is refused; what was in use stays in use
     */
    fun install(update: File, selfTest: (File) -> Unit): File = locked {
        val before = readState()
        val used = versionInUse(before)
        removeLeftovers(before)
        val staging = File(versions, STAGING)
        val version = unpack(update, before, used, staging).version
        val again = if (before.trying == version) before.attempts + 1 else 1
        // Native code may take the process down: then this is what is remembered.
        val tried = before.copy(trying = version, attempts = again)
        write(tried)
        try {
            selfTest(staging)
        } catch (error: SelfTestException) {
            staging.deleteRecursively()
            write(tried.burn(version, used))
            throw UpdateException("version $version fails its self-test: ${error.message}", error)
        } catch (error: Exception) {
            staging.deleteRecursively()
            if (error is InterruptedException) Thread.currentThread().interrupt()
            throw UpdateException("the self-test of version $version did not end: $error", error)
        }
        val place = versionFolder(version)
        // There is one only if it is damaged.
        place.deleteRecursively()
        if (!staging.renameTo(place)) throw UpdateException("$place cannot be made")
        val after = tried.copy(
            current = version,
            previous = used,
            highest = maxOf(tried.highest, version),
            trying = 0,
            attempts = 0,
        )
        write(after)
        removeLeftovers(after)
        place
    }

    /**
     * Go back to the version before the one in use, which is never taken again.
     *
     * @return its folder; null for the app's own model
     */
    fun rollBack(): File? = locked {
        val before = readState()
        val used = versionInUse(before)
        // The app's own model has none before it.
        if (used == 0L) return@locked null
        val next = if (used == before.current) before.previous else 0
        val after = before.copy(current = next, previous = 0, failed = maxOf(before.failed, used))
        write(after)
        removeLeftovers(after)
        folderInUse(after)
    }

    /** The newest version whose files are as signed; 0 for the app's own. */
    private fun versionInUse(state: UpdateState): Long =
        listOf(state.current, state.previous).firstOrNull { it > shippedVersion && isIntact(versionFolder(it)) } ?: 0

    private fun folderInUse(state: UpdateState): File? =
        versionInUse(state).takeIf { it > 0 }?.let { versionFolder(it) }

    private fun readState(): UpdateState =
        UpdateState.read(stateFile) ?: UpdateState.read(stateCopy) ?: stateOfFolders()

    /** Only what passed its self-test has a folder with a number. */
    private fun stateOfFolders(): UpdateState {
        val found = versions.list().orEmpty().mapNotNull { it.toLongOrNull() }.filter { it > 0 }.sortedDescending()
        val (current, previous) = found + listOf(0L, 0L)
        return UpdateState(current, previous, highest = current)
    }

    private fun write(state: UpdateState) {
        state.write(stateCopy)
        state.write(stateFile)
    }

    private fun unpack(update: File, state: UpdateState, used: Long, staging: File): UpdateManifest = try {
        ZipFile(update).use { archive ->
            val text = read(archive, UpdateManifest.NAME, UpdateManifest.MAX_BYTES)
            val signature = read(archive, UpdateManifest.SIGNATURE, UpdateManifest.MAX_BYTES)
            val manifest = UpdateManifest.verified(text, signature, key)
            check(manifest, state, used)
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

    private fun check(manifest: UpdateManifest, state: UpdateState, used: Long) {
        val version = manifest.version
        val newest = maxOf(shippedVersion, state.highest, state.failed)
        val repairs = version == state.current && version > maxOf(shippedVersion, used)
        val tired = state.trying == version && state.attempts >= MAX_ATTEMPTS
        val bytes = manifest.files.fold(0L) { sum, file -> minOf(sum + file.bytes, Long.MAX_VALUE / 2) }
        val problem = when {
            manifest.model != model -> "is for the model ${manifest.model}, not $model"
            manifest.contract != contract -> "has contract ${manifest.contract}; this app follows $contract"
            manifest.minAppVersion > appVersion -> "needs the app's version ${manifest.minAppVersion}; this is $appVersion"
            version <= newest && !repairs -> "is not newer than $newest"
            tired -> "did not end its self-test $MAX_ATTEMPTS times"
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
        val path = folder.absolutePath
        // To open the file twice and close it once would give the lock away.
        if (!HELD.add(path)) throw UpdateException("a self-test must not ask the store that it is for")
        try {
            folder.mkdirs()
            RandomAccessFile(File(folder, "lock"), "rw").use { file ->
                file.channel.lock().use { run() }
            }
        } catch (error: IOException) {
            throw UpdateException("$folder cannot be used: ${error.message}", error)
        } finally {
            HELD.remove(path)
        }
    }

    private companion object {
        const val STAGING = "staging"
        const val PIECE = 1 shl 16
        // Killed by hand in a self-test once or twice is no fault of the model.
        const val MAX_ATTEMPTS = 3
        val MONITOR = Any()
        val HELD = HashSet<String>()

        fun hex(digest: MessageDigest): String =
            digest.digest().joinToString("") { "%02x".format(it) }
    }
}
