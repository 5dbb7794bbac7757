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
    val square = ImagePipeline(width = 4, height = 4)
    val listed = InputShapes.of(
        mapOf("shape" to "enumerated", "sizes" to listOf(listOf(4, 4), listOf(8, 6))), square
    )
    println(listOf(listed.allows(4, 4), listed.allows(8, 6), listed.allows(6, 8)))
    val range = InputShapes.of(
        mapOf(
            "shape" to "range", "min" to listOf(32, 32), "max" to listOf(96, 64),
            "step" to listOf(32, 32),
        ),
        square,
    )
    println(listOf(range.allows(96, 64), range.allows(48, 32), range.allows(96, 96)))
    val fixed = InputShapes.of(null, square)
    println(listOf(fixed.allows(4, 4), fixed.allows(5, 4)))
    println(said { InputShapes.of(mapOf("shape" to "any"), square) })
    println(said { InputShapes.of(mapOf("shape" to "range", "min" to listOf(0, 1)), square) })
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
