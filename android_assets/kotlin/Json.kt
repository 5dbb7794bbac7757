package edgedeploy

/** A text is not JSON, or holds other values than expected. */
class JsonException(message: String) : IllegalArgumentException(message)

/**
 * Read JSON (RFC 8259) to maps, lists, texts, booleans, null, and numbers as Long or Double.
 *
 * Android's own org.json is lenient and absent from plain JVM modules.
 *
 * @throws JsonException with the place of the first character that does not fit
 */
fun parseJson(text: String): Any? {
    val reader = JsonReader(text)
    val value = reader.value(0)
    reader.end()
    return value
}

/** A JSON object's field, as the type that is expected. */
inline fun <reified T> Map<*, *>.field(name: String): T =
    this[name] as? T ?: throw JsonException("expected $name as ${T::class.simpleName}; received ${this[name]}")

/** A whole number among an object's fields. */
fun Map<*, *>.wholeNumber(name: String): Int {
    val value = field<Number>(name)
    if (value.toDouble() != value.toInt().toDouble()) {
        throw JsonException("expected $name as a whole number; received $value")
    }
    return value.toInt()
}

// Deeper than any document of ours; each level costs stack.
private const val MAX_DEPTH = 64

private val NUMBER = Regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")
private const val ESCAPED = "\"\\/bfnrt"
private const val MEANT = "\"\\/\b\u000c\n\r\t"

private class JsonReader(private val text: String) {
    private var place = 0

    fun value(depth: Int): Any? {
        if (depth > MAX_DEPTH) throw wrong("at most $MAX_DEPTH levels")
        skip()
        return when (peek()) {
            '{' -> members(depth)
            '[' -> elements(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    fun end() {
        skip()
        if (place < text.length) throw wrong("the end")
    }

    private fun members(depth: Int): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        place++
        skip()
        if (take('}')) return found
        do {
            skip()
            if (peek() != '"') throw wrong("a name")
            val name = string()
            skip()
            if (!take(':')) throw wrong("':'")
            // Two values for one name would let two readers see two documents.
            if (name in found) throw wrong("each name once, not $name again")
            found[name] = value(depth + 1)
            skip()
        } while (take(','))
        if (!take('}')) throw wrong("',' or '}'")
        return found
    }

    private fun elements(depth: Int): List<Any?> {
        val found = ArrayList<Any?>()
        place++
        skip()
        if (take(']')) return found
        do {
            found.add(value(depth + 1))
            skip()
        } while (take(','))
        if (!take(']')) throw wrong("',' or ']'")
        return found
    }

    private fun string(): String {
        place++
        val out = StringBuilder()
        while (true) {
            val character = peek() ?: throw wrong("'\"'")
            place++
            when {
                character == '"' -> return out.toString()
                character == '\\' -> out.append(escape())
                character < ' ' -> throw wrong("no control characters in texts")
                else -> out.append(character)
            }
        }
    }

    private fun escape(): Char {
        val character = peek() ?: throw wrong("an escape")
        place++
        if (character == 'u') {
            val digits = text.substring(place, minOf(place + 4, text.length))
            val isCode = digits.length == 4 && digits.all { it in "0123456789abcdefABCDEF" }
            if (!isCode) throw wrong("four hexadecimal digits")
            place += 4
            return digits.toInt(16).toChar()
        }
        val which = ESCAPED.indexOf(character)
        if (which < 0) throw wrong("one of $ESCAPED or u after '\\'")
        return MEANT[which]
    }

    private fun number(): Number {
        val match = NUMBER.find(text, place)?.takeIf { it.range.first == place } ?: throw wrong("a value")
        place = match.range.last + 1
        val isWhole = match.groupValues[2].isEmpty() && match.groupValues[3].isEmpty()
        val whole = if (isWhole) match.value.toLongOrNull() else null
        if (whole != null) return whole
        val real = match.value.toDouble()
        if (real.isInfinite()) throw wrong("a number that a double can hold")
        return real
    }

    private fun word(expected: String, meaning: Any?): Any? {
        if (!text.startsWith(expected, place)) throw wrong("a value")
        place += expected.length
        return meaning
    }

    private fun peek(): Char? = text.getOrNull(place)

    private fun take(expected: Char): Boolean {
        if (peek() != expected) return false
        place++
        return true
    }

    private fun skip() {
        while (place < text.length && text[place] in " \t\n\r") place++
    }

    private fun wrong(expected: String) =
        JsonException("not JSON: expected $expected at character $place")
}
