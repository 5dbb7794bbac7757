// Drives the loop and the checkpoints with softmax regression, learnt for real.
package program

import edgedeploy.Checkpoint
import edgedeploy.Examples
import edgedeploy.Learner
import edgedeploy.Training
import edgedeploy.TrainingDivergedException
import edgedeploy.readCheckpoint
import edgedeploy.writeCheckpoint
import java.io.File
import java.util.Random
import kotlin.math.exp
import kotlin.math.ln
import kotlin.system.exitProcess

class Regression : Learner {
    override val model = "regression"
    override val batchSize = 4
    override val classes = 2
    private var w = FloatArray(6)
    private var steps = 0

    private fun scores(x: FloatArray): DoubleArray {
        val z = DoubleArray(2) { k -> (w[3 * k] * x[0] + w[3 * k + 1] * x[1] + w[3 * k + 2]).toDouble() }
        val top = z.max()
        val e = z.map { exp(it - top) }
        return DoubleArray(2) { e[it] / e.sum() }
    }

    override fun step(x: List<FloatArray>, labels: IntArray, rate: Float): Float {
        var loss = 0.0
        val g = DoubleArray(6)
        x.forEachIndexed { i, row ->
            val p = scores(row)
            loss -= ln(p[labels[i]])
            for (k in 0..1) {
                val d = (p[k] - if (labels[i] == k) 1 else 0) / x.size
                g[3 * k] += d * row[0]
                g[3 * k + 1] += d * row[1]
                g[3 * k + 2] += d
            }
        }
        for (i in 0..5) w[i] -= (rate * g[i]).toFloat()
        steps += 1
        return (loss / x.size).toFloat()
    }

    override fun accuracy(examples: Examples) = examples.x.indices.count { i ->
        (scores(examples.x[i])[1] > 0.5) == (examples.labels[i] == 1)
    } / examples.size.toFloat()

    override fun saveFloats() = mapOf("w" to w.copyOf())

    override fun saveInts() = mapOf("steps" to intArrayOf(steps))

    override fun restore(floats: Map<String, FloatArray>, ints: Map<String, IntArray>) {
        w = floats.getValue("w").copyOf()
        steps = ints.getValue("steps")[0]
    }
}

fun examples(): Examples {
    val random = Random(1)
    val labels = IntArray(50) { it % 2 }
    return Examples(
        List(50) { i ->
            val centre = if (labels[i] == 1) 1.0 else -1.0
            FloatArray(2) { (centre + 0.4 * random.nextGaussian()).toFloat() }
        },
        labels,
    )
}

fun main(arguments: Array<String>) {
    val file = File(arguments[1])
    val data = examples()
    when (arguments[0]) {
        "write" -> for (n in 1..1_000_000) {
            val w = FloatArray(20_000) { n.toFloat() }
            writeCheckpoint(file, Checkpoint("m", n, 0, 0.0, listOf(), mapOf("w" to w), mapOf()))
            if (n == 2) println("ready")
        }
        "read" -> {
            val found = readCheckpoint(file)!!
            println(found.floats.getValue("w").all { it == found.epoch.toFloat() })
        }
        "train" -> {
            val learner = Regression()
            val accuracies = Training(learner, data, data, file, 0.5f, checkpointMillis = 0).run(3)
            println("$accuracies ${learner.saveFloats().getValue("w").toList()}")
        }
        "interrupt" -> Training(
            Regression(), data, data, file, 0.5f, checkpointMillis = 0,
            progress = { done, _ -> if (done >= 70) exitProcess(9) else true },
        ).run(3)
        "diverge" -> {
            val learner = Regression()
            // Some wrong labels: on data without any, huge weights are no mistake.
            val odd = IntArray(50) { if (it % 7 == 0) 1 - data.labels[it] else data.labels[it] }
            val wrong = Examples(data.x, odd)
            Training(learner, wrong, data, file, 0.1f).run(1)
            val before = learner.saveFloats().getValue("w").toList()
            try {
                Training(learner, wrong, data, file, 3e38f).run(2)
            } catch (error: TrainingDivergedException) {
                println(error.message)
                println(before == learner.saveFloats().getValue("w").toList())
            }
        }
    }
}
