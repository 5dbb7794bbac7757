package edgedeploy

import java.io.File
import java.util.Random
import kotlin.math.ln
import kotlin.math.max

/** The loss left all bounds; the model was put back to where it was sound. */
class TrainingDivergedException(message: String) : RuntimeException(message)

/**
 * Labelled rows.
 *
 * @property x one array a row, in the model's order
 * @property labels class of each row, counted from 0
 */
class Examples(val x: List<FloatArray>, val labels: IntArray) {
    init {
        require(x.size == labels.size) { "${x.size} rows but ${labels.size} labels" }
    }

    val size: Int get() = labels.size
}

/** A model that learns from batches. */
interface Learner {
    /** SHA-256 of the model file. */
    val model: String

    /** Rows of a step at most. */
    val batchSize: Int
    val classes: Int

    /** Learn from at most a batch of rows; gives their mean loss before the step. */
    fun step(x: List<FloatArray>, labels: IntArray, rate: Float): Float

    /** Share of right answers among the rows. */
    fun accuracy(examples: Examples): Float

    fun saveFloats(): Map<String, FloatArray>

    fun saveInts(): Map<String, IntArray>

    fun restore(floats: Map<String, FloatArray>, ints: Map<String, IntArray>)
}

private const val WATCHED_STEPS = 8
private const val ASTRAY = 4.0

/**
 * The training loop: epochs of shuffled batches, checkpoints, early stop.
 *
 * Not safe for several threads; run it on one that may be busy for long.
 *
 * @param learner the model
 * @param examples what it learns from
 * @param test what its accuracy is measured on after each epoch
 * @param checkpoint where its state is kept; a training that was killed goes on there
 * @param rate learning rate of each step
 * @param seed of the shuffling
 * @param patience epochs without a better accuracy after which to stop; 0 never
 * @param checkpointMillis time between checkpoints inside an epoch
 * @param progress told the rows done and the rows of all epochs; false stops the training
 */
class Training(
    private val learner: Learner,
    private val examples: Examples,
    private val test: Examples,
    private val checkpoint: File,
    private val rate: Float,
    private val seed: Long = 0,
    private val patience: Int = 0,
    private val checkpointMillis: Long = 20_000,
    private val progress: (Long, Long) -> Boolean = { _, _ -> true },
) {
    private var epoch = 0
    private var position = 0
    private var lossSum = 0.0
    private val accuracies = ArrayList<Float>()
    private var kept: Checkpoint

    init {
        require(examples.size > 0 && test.size > 0) { "training needs examples and tests" }
        require(rate > 0 && !rate.isInfinite()) { "the learning rate must be above 0" }
        val found = readCheckpoint(checkpoint)
        if (found != null) {
            require(found.model == learner.model) { "$checkpoint belongs to another model" }
            learner.restore(found.floats, found.ints)
            epoch = found.epoch
            position = found.position
            lossSum = found.lossSum
            accuracies.addAll(found.accuracies)
        }
        kept = found ?: snapshot()
    }

    /**
     * Train until the epochs are done, patience ends, or progress says false.
     *
     * @return the test accuracy after each epoch
     * @throws TrainingDivergedException if the loss is no number or absurd; the model is
     *   then as it was at the last checkpoint, or at the start
     */
    fun run(epochs: Int): List<Float> {
        while (epoch < epochs && !isStuck()) {
            if (!runEpoch(epochs)) break
        }
        return accuracies.toList()
    }

    private fun runEpoch(epochs: Int): Boolean {
        val order = (0 until examples.size).shuffled(Random(seed * 1_000_003 + epoch))
        val recent = ArrayDeque<Float>()
        var saved = System.nanoTime()
        while (position < order.size) {
            val part = order.subList(position, minOf(position + learner.batchSize, order.size))
            val labels = IntArray(part.size) { examples.labels[part[it]] }
            val loss = learner.step(part.map { examples.x[it] }, labels, rate)
            watch(recent, loss)
            position += part.size
            lossSum += loss.toDouble() * part.size
            if (System.nanoTime() - saved > checkpointMillis * 1_000_000) {
                save()
                saved = System.nanoTime()
            }
            val all = epochs.toLong() * order.size
            if (!progress(epoch.toLong() * order.size + position, all)) {
                save()
                return false
            }
        }
        accuracies.add(learner.accuracy(test))
        epoch += 1
        position = 0
        lossSum = 0.0
        save()
        return true
    }

    private fun watch(recent: ArrayDeque<Float>, loss: Float) {
        recent.addLast(loss)
        if (recent.size > WATCHED_STEPS) recent.removeFirst()
        val bound = ASTRAY * max(ln(learner.classes.toDouble()), 1.0)
        val astray = recent.size == WATCHED_STEPS && recent.average() > bound
        if (!loss.isNaN() && !loss.isInfinite() && !astray) return
        putBack("the loss became $loss")
    }

    private fun save() {
        val now = snapshot()
        if (now.floats.values.any { values -> values.any { it.isNaN() || it.isInfinite() } }) {
            putBack("a weight became infinite")
        }
        kept = now
        writeCheckpoint(checkpoint, now)
    }

    private fun putBack(what: String): Nothing {
        learner.restore(kept.floats, kept.ints)
        throw TrainingDivergedException(
            "training went astray in epoch ${epoch + 1}: $what at a learning rate of $rate; " +
                "the model is kept as it was before. Lower the learning rate",
        )
    }

    private fun snapshot() = Checkpoint(
        learner.model, epoch, position, lossSum, accuracies.toList(),
        learner.saveFloats(), learner.saveInts(),
    )

    private fun isStuck(): Boolean {
        if (patience == 0 || accuracies.size <= patience) return false
        val before = accuracies.dropLast(patience).max()
        return accuracies.takeLast(patience).max() <= before
    }
}
