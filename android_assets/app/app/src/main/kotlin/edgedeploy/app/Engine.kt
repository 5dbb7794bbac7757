package edgedeploy.app

import android.content.res.AssetManager
import android.os.Handler
import android.os.Looper
import android.util.Log
import edgedeploy.Contract
import edgedeploy.Guess
import edgedeploy.PictureClassifier
import edgedeploy.Rgb
import java.util.concurrent.Executors

/** Which model is used, and with how many threads. */
data class Choice(val recipe: String, val threads: Int)

/** The best classes, and how long the contract's preprocessing and the network took. */
data class Answer(val guesses: List<Guess>, val milliseconds: Double)

/** All that is slow, one thing after another on a thread of its own. */
class Engine(assets: AssetManager, folder: String) {
    private val worker = Executors.newSingleThreadExecutor()
    private val main = Handler(Looper.getMainLooper())

    /** Read by the worker's tasks alone, as is what follows from it. */
    val models = Models(assets, folder)
    private var opened: Pair<Choice, PictureClassifier>? = null

    /**
     * Do something on the worker, then tell the main thread.
     *
     * @param done given the result
     * @param failed given what is wrong, for people
     */
    fun <T> run(work: Engine.() -> T, done: (T) -> Unit, failed: (String) -> Unit) {
        worker.execute {
            val tell: () -> Unit = try {
                val result = work(this)
                val told: () -> Unit = { done(result) }
                told
            } catch (error: Exception) {
                failure(error, failed)
            } catch (error: OutOfMemoryError) {
                // A huge picture; what it took is free again.
                failure(error, failed)
            } catch (error: LinkageError) {
                // LiteRT has no native library for this processor.
                failure(error, failed)
            }
            main.post(tell)
        }
    }

    /** The contract; for [run]'s work. */
    val contract: Contract get() = models.contract

    /** Name what a picture shows; for [run]'s work. */
    fun classify(picture: Rgb, choice: Choice): Answer {
        val classifier = classifier(choice)
        val begun = System.nanoTime()
        val guesses = classifier.classify(listOf(picture)).single()
        return Answer(guesses, (System.nanoTime() - begun) / 1e6)
    }

    /** The classifier of a choice, which stays open for the next picture. */
    fun classifier(choice: Choice): PictureClassifier {
        opened?.let { (kept, classifier) -> if (kept == choice) return classifier }
        val variant = requireNotNull(contract.variants[choice.recipe]) { "no model ${choice.recipe}" }
        // One model in memory at a time.
        opened?.second?.close()
        opened = null
        return models.open(variant, choice.threads).also { opened = choice to it }
    }

    private fun failure(error: Throwable, failed: (String) -> Unit): () -> Unit {
        Log.e(TAG, "failed", error)
        return { failed(error.message ?: error.javaClass.simpleName) }
    }

    private companion object {
        const val TAG = "edgedeploy"
    }
}
