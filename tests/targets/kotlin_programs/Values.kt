import edgedeploy.*

fun said(what: () -> Unit): String = try {
    what()
    "nothing"
} catch (error: IllegalArgumentException) {
    error.message!!
}

fun show(guesses: List<Guess>): String =
    guesses.joinToString { "${it.index} ${it.label} ${it.score}" }

/** Prints what the small parts answer, a line each. */
fun main() {
    println(said { ImagePipeline(width = 0, height = 4) })
    println(said { ImagePipeline(width = 4, height = 4, kernel = "cubist") })
    println(said { Rgb(2, 2, ByteArray(11)) })
    println(show(topK(floatArrayOf(0.2f, 0.4f, 0.4f, 0f), listOf("a", "b", "c", "d"), 3)))
    println(show(topK(floatArrayOf(-0f, 0f), listOf("a", "b"), 5)))
    println(said { topK(floatArrayOf(1f), listOf("a", "b"), 1) })
    val type = TensorType("uint8", 0.00390625, 0)
    println(dequantise(byteArrayOf(0, 1, -1), type).joinToString())
    println(dequantise(byteArrayOf(-128, 0, 127), TensorType("int8", 0.5, -128)).joinToString())
    println(Rgb.ofPixels(1, 1, intArrayOf(0x80FF0102.toInt())).bytes.joinToString())
}
