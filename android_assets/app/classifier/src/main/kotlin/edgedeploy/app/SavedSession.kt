package edgedeploy.app

import edgedeploy.JsonException
import edgedeploy.field
import edgedeploy.parseJson
import edgedeploy.wholeNumber

/** A square in a picture, in pixels of the picture; see [SquareCrop]. */
data class SavedSquare(val left: Double, val top: Double, val side: Double)

/**
 * What the screen shows, small enough to outlive the process in a saved state.
 *
 * @property picture address of the picture; null before one was chosen
 * @property square what of it is classified; null for the largest, in the middle
 * @property recipe which model file
 */
data class SavedSession(
    val picture: String?,
    val square: SavedSquare?,
    val recipe: String,
    val threads: Int,
) {
    fun toText(): String {
        val address = picture?.let { quoted(it) } ?: "null"
        val place = square?.let { "{\"left\":${it.left},\"top\":${it.top},\"side\":${it.side}}" } ?: "null"
        return "{\"picture\":$address,\"square\":$place,\"recipe\":${quoted(recipe)},\"threads\":$threads}"
    }

    companion object {
        /** Read what [toText] wrote; null for anything else, so that the app begins anew. */
        fun ofText(text: String?): SavedSession? = try {
            val fields = text?.let { parseJson(it) } as? Map<*, *>
            fields?.let {
                SavedSession(
                    picture = it["picture"] as? String,
                    square = (it["square"] as? Map<*, *>)?.let { place -> square(place) },
                    recipe = it.field("recipe"),
                    threads = it.wholeNumber("threads").coerceIn(1, MAX_THREADS),
                )
            }
        } catch (_: JsonException) {
            null
        }

        private fun square(fields: Map<*, *>) = SavedSquare(
            fields.field<Number>("left").toDouble(),
            fields.field<Number>("top").toDouble(),
            fields.field<Number>("side").toDouble(),
        )

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
