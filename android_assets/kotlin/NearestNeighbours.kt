package edgedeploy

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.sqrt

/**
 * The nearest neighbours of a network's embedding vote for a class.
 *
 * The same as `ondevice/neighbours.py`: sums are taken one dimension after the other in
 * double precision, so both find the same neighbours, bit for bit.
 *
 * @param vectors embeddings, row after row
 * @param classes class index of each row
 * @param dimensions values of an embedding
 * @param metric "cosine" or "euclidean"
 * @param k neighbours that vote, 1 to rows
 * @param labels number of classes
 */
class NearestNeighbours(
    private val vectors: FloatArray,
    private val classes: IntArray,
    private val dimensions: Int,
    private val metric: String,
    private val k: Int,
    private val labels: Int,
) {
    private val rows = classes.size

    init {
        require(dimensions > 0 && vectors.size == rows * dimensions && rows > 0) {
            "expected $rows x $dimensions values; received ${vectors.size}"
        }
        require(vectors.all { it.isFinite() }) { "vectors hold values that are no finite numbers" }
        require(classes.all { it in 0 until labels }) { "classes must be 0 to ${labels - 1}" }
        require(metric == "cosine" || metric == "euclidean") {
            "metric must be cosine or euclidean; received $metric"
        }
        require(k in 1..rows) { "k must be 1 to the table's $rows rows; received $k" }
    }

    /** Each class's share of the k votes. Of rows equally near, the first ones count. */
    fun scores(embedding: FloatArray): FloatArray {
        require(embedding.size == dimensions) {
            "the table holds embeddings of $dimensions values; the network gives ${embedding.size}"
        }
        val distances = DoubleArray(rows) { distance(embedding, it) }
        // Sorting objects is stable.
        val nearest = (0 until rows).sortedBy { distances[it] }.take(k)
        val votes = IntArray(labels)
        for (row in nearest) votes[classes[row]]++
        return FloatArray(labels) { (votes[it].toDouble() / k).toFloat() }
    }

    private fun distance(embedding: FloatArray, row: Int): Double {
        val first = row * dimensions
        var total = 0.0
        if (metric == "euclidean") {
            for (i in 0 until dimensions) {
                val difference = embedding[i].toDouble() - vectors[first + i].toDouble()
                total += difference * difference
            }
            return total
        }
        var own = 0.0
        var norm = 0.0
        for (i in 0 until dimensions) {
            val mine = embedding[i].toDouble()
            val theirs = vectors[first + i].toDouble()
            total += mine * theirs
            norm += theirs * theirs
            own += mine * mine
        }
        val length = sqrt(own) * sqrt(norm)
        // 0.0 and -0.0 are different to a sort, but not to the votes.
        return if (length > 0) 0.0 - total / length else 0.0
    }

    companion object {
        private val HEADER =
            Regex("""\{'descr': '(<f4|<i4)', 'fortran_order': False, 'shape': \((\d{1,9}),( ?(\d{1,9}))?\), \} *\n""")

        /** Read float32 values of a .npy file, version 1.0 of NumPy's format. */
        fun readFloats(file: ByteArray): FloatArray {
            val values = body(file, "<f4").asFloatBuffer()
            return FloatArray(values.remaining()).also { values.get(it) }
        }

        /** Read int32 values of a .npy file. */
        fun readInts(file: ByteArray): IntArray {
            val values = body(file, "<i4").asIntBuffer()
            return IntArray(values.remaining()).also { values.get(it) }
        }

        private fun body(file: ByteArray, type: String): ByteBuffer {
            val magic = byteArrayOf(0x93.toByte(), 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0)
            require(file.size >= 10 && magic.indices.all { file[it] == magic[it] }) {
                "expected a .npy file of version 1.0"
            }
            val length = (file[8].toInt() and 255) or ((file[9].toInt() and 255) shl 8)
            require(file.size >= 10 + length) { "the .npy file ends in its header" }
            val match = HEADER.matchEntire(String(file, 10, length, Charsets.ISO_8859_1))
            require(match != null && match.groupValues[1] == type) {
                "expected a .npy file of $type in C order with one or two dimensions"
            }
            val columns = match.groupValues[4].ifEmpty { "1" }.toLong()
            val expected = match.groupValues[2].toLong() * columns * 4
            require(file.size - 10L - length == expected) {
                "the .npy header promises $expected bytes; found ${file.size - 10 - length}"
            }
            return ByteBuffer.wrap(file, 10 + length, expected.toInt())
                .slice().order(ByteOrder.LITTLE_ENDIAN)
        }
    }
}
