package edgedeploy

import java.nio.ByteBuffer
import java.security.MessageDigest
import kotlin.math.abs
import kotlin.math.max

/** The device gives something else than was promised. */
class SelfTestException(message: String) : IllegalStateException(message)

/** A promised answer: scores of listed classes by class index, and the best class. */
data class Promise(val scores: Map<Int, Float>, val best: Int)

/**
 * A picture and what was made of it where the bundle was built.
 *
 * @property rgbSha256 of the RGB bytes after crop and resize
 * @property samples values of the float tensor, by flat index
 * @property expected answers by recipe
 * @property arm64 answers by recipe where 64-bit Arm has others; quantised softmax does
 */
data class GoldenVector(
    val file: String,
    val rgbSha256: String,
    val samples: Map<Int, Double>,
    val mean: Double,
    val expected: Map<String, Promise>,
    val arm64: Map<String, Promise>,
) {
    internal companion object {
        fun of(fields: Map<*, *>) = GoldenVector(
            file = inside(fields.field("file")),
            rgbSha256 = fields.field("rgb_sha256"),
            samples = pairs(fields.field("tensor_samples")),
            mean = fields.field<Number>("tensor_mean").toDouble(),
            expected = promises(fields.field("expected")),
            arm64 = (fields["arm64"] as? Map<*, *>)?.let { promises(it) }.orEmpty(),
        )

        private fun promises(fields: Map<*, *>) = fields.entries.associate { (recipe, answer) ->
            val answers = answer as? Map<*, *> ?: throw JsonException("$recipe: no answer")
            val scores = pairs(answers.field("output")).mapValues { it.value.toFloat() }
            val best = pairs(answers.field("top_k")).keys.firstOrNull()
            require(best in scores) { "$recipe: the best class is not among the scores" }
            recipe as String to Promise(scores, best!!)
        }

        /** [[index, value] …] in order. */
        private fun pairs(rows: List<*>): Map<Int, Double> = rows.associate { row ->
            val numbers = (row as? List<*>)?.filterIsInstance<Number>().orEmpty()
            require(numbers.size == 2 && numbers[0].toInt() >= 0) { "expected [index, value]; received $row" }
            numbers[0].toInt() to numbers[1].toDouble()
        }
    }
}

private const val TENSOR_TOLERANCE = 1e-6

/** Hold crop and resize against a golden picture's digest. */
fun checkRgb(vector: GoldenVector, picture: Rgb) {
    val found = sha256(ByteBuffer.wrap(picture.bytes))
    if (found != vector.rgbSha256) {
        throw SelfTestException(
            "${vector.file}: RGB after crop and resize is another (expected " +
                "${vector.rgbSha256.take(16)}, found ${found.take(16)})"
        )
    }
}

/** Hold the normalised tensor against a golden picture's values, to 1e-6. */
fun checkTensor(vector: GoldenVector, tensor: FloatArray) {
    val mean = tensor.fold(0.0) { sum, value -> sum + value } / tensor.size
    requireNear("${vector.file}: tensor mean", vector.mean, mean)
    for ((index, value) in vector.samples) {
        if (index >= tensor.size) throw SelfTestException("${vector.file}: the tensor has no value $index")
        requireNear("${vector.file}: tensor value $index", value, tensor[index].toDouble())
    }
}

/**
 * Hold a model's answer against the promised one.
 *
 * A quantised output may be one step off: the promise is of the runtime that built the
 * bundle, and this device has another.
 *
 * @return the largest difference
 */
fun checkScores(promise: Promise, scores: FloatArray, variant: Variant): Double {
    val step = if (variant.output.dtype == "float32") 0.0 else 1.01 * variant.output.scale
    val allowed = max(variant.tolerance, step)
    var worst = 0.0
    for ((index, score) in promise.scores) {
        val found = scores.getOrNull(index) ?: throw SelfTestException("class $index expected; there are ${scores.size}")
        val difference = abs(found.toDouble() - score)
        // Written so that NaN fails.
        if (!(difference <= allowed)) {
            throw SelfTestException("class $index expected $score, received $found (allowed difference $allowed)")
        }
        worst = max(worst, difference)
    }
    checkBest(promise, scores, allowed)
    return worst
}

/** The best class is the promised one, or ties with it; what is not listed lies below. */
private fun checkBest(promise: Promise, scores: FloatArray, allowed: Double) {
    val lowest = promise.scores.values.min()
    for ((index, score) in scores.withIndex()) {
        if (index !in promise.scores && !(score <= lowest + allowed)) {
            throw SelfTestException("class $index, which is not listed, scores $score; at most $lowest expected")
        }
    }
    val best = scores.indices.maxByOrNull { scores[it] } ?: throw SelfTestException("there are no scores")
    val gap = promise.scores.getValue(promise.best) - (promise.scores[best] ?: lowest)
    if (best != promise.best && !(gap <= allowed)) {
        throw SelfTestException("the best class is $best; expected ${promise.best}")
    }
}

private fun requireNear(what: String, expected: Double, found: Double) {
    if (!(abs(found - expected) <= TENSOR_TOLERANCE * max(1.0, abs(expected)))) {
        throw SelfTestException("$what expected $expected, received $found")
    }
}

/** SHA-256 in hexadecimal of a buffer from its start; its position stays. */
fun sha256(buffer: ByteBuffer): String {
    val digest = MessageDigest.getInstance("SHA-256")
    digest.update(buffer.duplicate().apply { rewind() })
    return digest.digest().joinToString("") { "%02x".format(it) }
}

/**
 * Refuse a model file that is not the contract's.
 *
 * @throws SelfTestException before a byte of it is parsed
 */
fun checkDigest(variant: Variant, file: ByteBuffer) {
    val found = sha256(file)
    if (found != variant.sha256) {
        throw SelfTestException("${variant.file}: not the contract's sha256 (found ${found.take(16)})")
    }
}
