package edgedeploy

/** The sizes of picture that a network takes, as `input` of contract.json says. */
sealed interface InputShapes {
    /** Whether the network takes pictures of this size. */
    fun allows(width: Int, height: Int): Boolean

    /** These sizes and no others. */
    data class Enumerated(val sizes: List<Pair<Int, Int>>) : InputShapes {
        override fun allows(width: Int, height: Int): Boolean = width to height in sizes
    }

    /** From the smallest to the largest size, in steps. */
    data class Range(
        val smallest: Pair<Int, Int>,
        val largest: Pair<Int, Int>,
        val step: Pair<Int, Int>,
    ) : InputShapes {
        override fun allows(width: Int, height: Int): Boolean =
            width in smallest.first..largest.first &&
                height in smallest.second..largest.second &&
                (width - smallest.first) % step.first == 0 &&
                (height - smallest.second) % step.second == 0
    }

    companion object {
        /**
         * Read `input` of contract.json, parsed to maps, lists, numbers and texts.
         *
         * @param fields null where the contract has none: then the pipeline's size alone
         * @throws IllegalArgumentException if a field is missing or impossible
         */
        fun of(fields: Map<String, Any?>?, pipeline: ImagePipeline): InputShapes {
            if (fields == null) return Enumerated(listOf(pipeline.width to pipeline.height))
            return when (val shape = fields["shape"]) {
                "enumerated" -> {
                    val sizes = fields["sizes"] as? List<*>
                    require(!sizes.isNullOrEmpty()) { "enumerated shapes need sizes" }
                    Enumerated(sizes.map { size("sizes", it) })
                }
                "range" -> Range(
                    size("min", fields["min"]),
                    size("max", fields["max"]),
                    size("step", fields["step"]),
                )
                else -> throw IllegalArgumentException(
                    "shape must be enumerated or range; received $shape"
                )
            }
        }

        private fun size(name: String, value: Any?): Pair<Int, Int> {
            val sides = (value as? List<*>)?.map { (it as? Number)?.toInt() ?: 0 }
            require(sides != null && sides.size == 2 && sides.all { it > 0 }) {
                "$name must be a width and a height; received $value"
            }
            return sides[0] to sides[1]
        }
    }
}
