package edgedeploy

import java.security.GeneralSecurityException
import java.security.KeyFactory
import java.security.PublicKey
import java.security.Signature
import java.security.spec.X509EncodedKeySpec

/** An update is not what it should be; nothing of it was kept. */
class UpdateException(message: String, cause: Throwable? = null) : Exception(message, cause)

/** One file of an update: its name below the model's folder, SHA-256 and size. */
class UpdateFile(val name: String, val sha256: String, val bytes: Long)

/**
 * What a signed update says of itself: `update.txt`.
 *
 * Lines of ASCII in this order: `edgedeploy-update 1`, `model NAME`, `version N`,
 * `contract N`, `min-app-version N`, then `file SHA256 BYTES NAME` for each file.
 */
class UpdateManifest private constructor(
    val model: String,
    val version: Long,
    val contract: Long,
    val minAppVersion: Long,
    val files: List<UpdateFile>,
) {
    companion object {
        const val NAME = "update.txt"
        const val SIGNATURE = "update.sig"
        const val MAX_BYTES = 1 shl 20

        private val FILE_NAME = Regex("[A-Za-z0-9_][A-Za-z0-9_@.-]*(/[A-Za-z0-9_][A-Za-z0-9_@.-]*)*")
        private val DIGEST = Regex("[0-9a-f]{64}")
        private val NUMBER = Regex("0|[1-9][0-9]{0,17}")

        /**
         * Read a manifest whose signature holds; nothing of another one is looked at.
         *
         * @param text the bytes of update.txt
         * @param signature the bytes of update.sig: RSA PKCS#1 v1.5 with SHA-256
         * @param key the one that the app trusts
         * @throws UpdateException if the signature does not hold, or the text is malformed
         */
        fun verified(text: ByteArray, signature: ByteArray, key: PublicKey): UpdateManifest {
            val holds = try {
                Signature.getInstance("SHA256withRSA").run {
                    initVerify(key)
                    update(text)
                    verify(signature)
                }
            } catch (error: GeneralSecurityException) {
                throw UpdateException("the update's signature cannot be checked", error)
            }
            if (!holds) throw UpdateException("the update is not signed with the key that this app trusts")
            return parse(String(text, Charsets.US_ASCII))
        }

        private fun parse(text: String): UpdateManifest {
            val lines = text.removeSuffix("\n").split("\n")
            if (lines[0] != "edgedeploy-update 1") {
                throw UpdateException("expected an update of format 1; received ${lines[0].take(40)}")
            }
            fun value(line: Int, key: String): String {
                val found = lines.getOrElse(line) { "" }
                if (!found.startsWith("$key ")) throw UpdateException("line ${line + 1} must say $key")
                return found.substring(key.length + 1)
            }
            fun number(line: Int, key: String): Long {
                val found = value(line, key)
                if (!NUMBER.matches(found)) throw UpdateException("$key must be a whole number")
                return found.toLong()
            }
            val files = (5 until lines.size).map { line ->
                val parts = value(line, "file").split(" ")
                val sound = parts.size == 3 && DIGEST.matches(parts[0]) &&
                    NUMBER.matches(parts[1]) && FILE_NAME.matches(parts[2])
                if (!sound) throw UpdateException("line ${line + 1} names no file that stays inside")
                UpdateFile(parts[2], parts[0], parts[1].toLong())
            }
            if (files.isEmpty() || files.map { it.name }.toSet().size != files.size) {
                throw UpdateException("the update lists no files, or one twice")
            }
            return UpdateManifest(
                value(1, "model"), number(2, "version"), number(3, "contract"),
                number(4, "min-app-version"), files,
            )
        }
    }
}

/**
 * The key that updates are signed with.
 *
 * @param encoded SubjectPublicKeyInfo, DER encoded: the file update-key.der
 * @throws UpdateException if it is no RSA key
 */
fun updateKey(encoded: ByteArray): PublicKey = try {
    KeyFactory.getInstance("RSA").generatePublic(X509EncodedKeySpec(encoded))
} catch (error: GeneralSecurityException) {
    throw UpdateException("the key for updates is no RSA key", error)
}
