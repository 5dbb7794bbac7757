package edgedeploy.app

import android.os.Build
import edgedeploy.GoldenVector
import edgedeploy.Rgb
import edgedeploy.Variant
import edgedeploy.checkRgb
import edgedeploy.checkScores
import edgedeploy.checkTensor
import edgedeploy.normalise

/** One step of the self-test. */
data class Check(val name: String, val passed: Boolean, val detail: String)

/**
 * Replay the golden vectors on this device; for [Engine.run]'s work.
 *
 * Each picture is taken through decoding, crop and resize, then the tensor, then every
 * model, so that a failure names its step.
 */
fun Engine.selfTest(threads: Int): List<Check> {
    val checks = ArrayList<Check>()
    val pictures = contract.golden.mapNotNull { vector ->
        attempt(checks, "picture ${vector.file}") {
            val picture = readPicture(models.bytes(vector.file), contract)
            val fitted = contract.pipeline.fit(picture)
            checkRgb(vector, fitted)
            checkTensor(vector, normalise(fitted, contract.pipeline))
            (vector to picture) to "RGB equal, tensor within 1e-6"
        }
    }
    for (variant in contract.variants.values) {
        for ((vector, picture) in pictures) replay(checks, variant, vector, picture, threads)
    }
    if (contract.golden.isEmpty()) checks.add(Check("golden", false, "the bundle has no golden vectors"))
    return checks
}

private fun Engine.replay(
    checks: MutableList<Check>,
    variant: Variant,
    vector: GoldenVector,
    picture: Rgb,
    threads: Int,
) {
    attempt(checks, "${variant.recipe} on ${vector.file}") {
        val promise = promised(vector, variant.recipe)
        val scores = classifier(Choice(variant.recipe, threads)).scores(picture)
        Unit to "largest difference ${checkScores(promise, scores, variant)}"
    }
}

private fun promised(vector: GoldenVector, recipe: String) =
    requireNotNull(vector.arm64[recipe].takeIf { isArm64() } ?: vector.expected[recipe]) {
        "${vector.file} has no answer for $recipe"
    }

// The process's own kind: a 32-bit app can run on a 64-bit phone.
private fun isArm64() = System.getProperty("os.arch") == "aarch64" && "arm64-v8a" in Build.SUPPORTED_ABIS

private fun <T> attempt(checks: MutableList<Check>, name: String, step: () -> Pair<T, String>): T? = try {
    val (value, detail) = step()
    checks.add(Check(name, true, detail))
    value
} catch (error: Exception) {
    failed(checks, name, error)
} catch (error: LinkageError) {
    // LiteRT has no native library for this processor.
    failed(checks, name, error)
}

private fun failed(checks: MutableList<Check>, name: String, error: Throwable): Nothing? {
    checks.add(Check(name, false, error.message ?: error.javaClass.simpleName))
    return null
}
