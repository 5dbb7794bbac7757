package edgedeploy.app

import edgedeploy.JsonException
import edgedeploy.field
import edgedeploy.parseJson
import edgedeploy.wholeNumber

/**
 * What the screen shows, small enough to outlive the process in a saved state.
 *
 * @property picture address of the picture; null before one was chosen
 * @property left of the square in the picture, and so on; see [SquareCrop]
 * @property recipe which model file
 */
data class SavedSession(
    val picture: String?,
    val left: Double,
    val top: Double,
    val side: Double,
    val recipe: String,
    val threads: Int,
) {
    fun toText(): String {
        val address = picture?.let { quoted(it) } ?: "null"
        return "{\"picture\":$address,\"left\":$left,\"top\":$top,\"side\":$side," +
            "\"recipe\":${quoted(recipe)},\"threads\":$threads}"
    }

    companion object {
        /** Read what [toText] wrote; null for anything else, so that the app begins anew. */
        fun ofText(text: String?): SavedSession? = try {
            val fields = text?.let { parseJson(it) } as? Map<*, *>
            fields?.let {
                SavedSession(
                    picture = it["picture"] as? String,
                    left = it.field<Number>("left").toDouble(),
                    top = it.field<Number>("top").toDouble(),
                    side = it.field<Number>("side").toDouble(),
                    recipe = it.field("recipe"),
                    threads = it.wholeNumber("threads").coerceIn(1, MAX_THREADS),
                )
            }
        } catch (_: JsonException) {
            null
        }

        private fun quoted(text: String): String = buildString {
            append('"')
            for (character in text) {
                when {
                    character == '"' || character == '\\' -> append('\\').append(character)
                    character < ' ' -> append("\\u%04x".format(character.code))
                    else -> append(character)
                }
            }
            append('"')
        }
    }
}

/** More threads than this slow every known phone down. */
const val MAX_THREADS = 8
