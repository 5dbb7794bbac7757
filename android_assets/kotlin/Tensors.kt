package edgedeploy

import kotlin.math.sign
import kotlin.math.truncate

/** What a tensor holds, of `variants.<recipe>.input` and `.output` in contract.json. */
data class TensorType(val dtype: String, val scale: Double = 0.0, val zeroPoint: Int = 0) {
    init {
        require(dtype == "float32" || (dtype in LIMITS && scale > 0)) {
            "expected float32, or ${LIMITS.keys.joinToString()} with a scale; received $dtype, $scale"
        }
    }

    internal val limits: IntRange get() = LIMITS.getValue(dtype)

    private companion object {
        val LIMITS = mapOf("uint8" to 0..255, "int8" to -128..127)
    }
}

/** One answer: class index, label and probability. */
data class Guess(val index: Int, val label: String, val score: Float)

/**
 * (value - mean) / std of each pixel, channels in the contract's order.
 *
 * Single precision throughout, as on the host: the same bits.
 */
fun normalise(picture: Rgb, pipeline: ImagePipeline): FloatArray {
    val table = normalisationTable(pipeline)
    return FloatArray(picture.bytes.size) { table[channelOf(it, pipeline)][valueAt(picture, it, pipeline)] }
}

/** The quantised input tensor of a picture, rounded half away from zero and saturated. */
fun quantise(picture: Rgb, pipeline: ImagePipeline, type: TensorType): ByteArray {
    val scale = type.scale.toFloat()
    val table = normalisationTable(pipeline).map { row ->
        ByteArray(256) {
            // Divided in single precision, rounded in double, as TFLite's operator does.
            val steps = (row[it] / scale).toDouble()
            val rounded = truncate(steps + 0.5 * sign(steps)) + type.zeroPoint
            rounded.coerceIn(type.limits.first.toDouble(), type.limits.last.toDouble()).toInt().toByte()
        }
    }
    return ByteArray(picture.bytes.size) { table[channelOf(it, pipeline)][valueAt(picture, it, pipeline)] }
}

/** Real values of a quantised output: scale * (value - zero point). */
fun dequantise(values: ByteArray, type: TensorType): FloatArray {
    val signed = type.limits.first < 0
    val scale = type.scale.toFloat()
    return FloatArray(values.size) {
        val value = if (signed) values[it].toInt() else values[it].toInt() and 255
        (value - type.zeroPoint).toFloat() * scale
    }
}

/** The k best classes, best first; ties go to the lower index. */
fun topK(scores: FloatArray, labels: List<String>, k: Int): List<Guess> {
    require(scores.size == labels.size) { "${scores.size} scores but ${labels.size} labels" }
    // Negated and added zero: 0.0 and -0.0 are one score. Sorting objects is stable.
    return scores.indices.sortedBy { -scores[it] + 0f }.take(k)
        .map { Guess(it, labels[it], scores[it]) }
}

private fun normalisationTable(pipeline: ImagePipeline): List<FloatArray> = List(3) { channel ->
    val mean = pipeline.mean[channel].toFloat()
    val std = pipeline.std[channel].toFloat()
    FloatArray(256) { (it.toFloat() - mean) / std }
}

/** The colour channel that a place of the tensor shows. */
private fun channelOf(place: Int, pipeline: ImagePipeline): Int =
    if (pipeline.channels == "rgb") place % 3 else 2 - place % 3

private fun valueAt(picture: Rgb, place: Int, pipeline: ImagePipeline): Int =
    picture.bytes[place - place % 3 + channelOf(place, pipeline)].toInt() and 255
