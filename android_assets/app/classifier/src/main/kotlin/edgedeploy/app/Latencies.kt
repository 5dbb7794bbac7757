package edgedeploy.app

/**
 * The latest durations, and their median: one slow run among them shows nothing.
 *
 * Not safe for several threads.
 *
 * @param kept how many
 */
class Latencies(private val kept: Int) {
    private val values = ArrayDeque<Double>()

    init {
        require(kept > 0) { "kept must be 1 or more; received $kept" }
    }

    /** Take a duration in milliseconds, and give the median of the latest. */
    fun add(milliseconds: Double): Double {
        values.addLast(milliseconds)
        if (values.size > kept) values.removeFirst()
        val sorted = values.sorted()
        val middle = sorted.size / 2
        return if (sorted.size % 2 == 1) sorted[middle] else (sorted[middle - 1] + sorted[middle]) / 2
    }
}
