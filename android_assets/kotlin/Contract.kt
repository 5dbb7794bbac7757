package edgedeploy

/**
 * One model file of contract.json.
 *
 * @property file its path below the contract's folder
 * @property sha256 hexadecimal
 * @property tolerance largest difference of a score from the promised one
 * @property batch pictures at once that were found best
 */
data class Variant(
    val recipe: String,
    val file: String,
    val sha256: String,
    val sizeBytes: Long,
    val input: TensorType,
    val output: TensorType,
    val tolerance: Double,
    val batch: Int,
)

/**
 * What contract.json says: the preprocessing, the models, and what they were promised to
 * answer.
 *
 * @property alphaOver background under transparent pixels: red, green, blue
 * @property exif whether pictures are turned as their EXIF tag says
 * @property default the recipe to use when none is asked for
 * @property operators names of operators that the models need beside LiteRT's
 */
data class Contract(
    val model: String,
    val title: String,
    val pipeline: ImagePipeline,
    val alphaOver: List<Int>,
    val exif: Boolean,
    val labelsFile: String,
    val classes: Int,
    val default: String,
    val variants: Map<String, Variant>,
    val shapes: InputShapes?,
    val operators: List<String>,
    val golden: List<GoldenVector>,
) {
    init {
        require(alphaOver.size == 3) { "alpha_over must be three numbers; received $alphaOver" }
    }

    /** Read labels, one a line; as many as the models have outputs. */
    fun labels(text: String): List<String> {
        val lines = text.removeSuffix("\n").split("\n")
        require(lines.size == classes) { "$labelsFile: expected $classes labels, found ${lines.size}" }
        return lines
    }

    companion object {
        private const val SCHEMA = 1

        /**
         * Read contract.json.
         *
         * @throws IllegalArgumentException if it is no contract of this version
         */
        fun parse(text: String): Contract {
            val fields = parseJson(text) as? Map<*, *> ?: throw JsonException("contract.json: no object")
            val schema = fields.wholeNumber("schema")
            require(schema == SCHEMA) { "contract.json: expected schema $SCHEMA; received $schema" }
            require("neighbours" !in fields) {
                "contract.json: the outputs are embeddings; classify them with NearestNeighbours"
            }
            val pipeline = named(fields.field("pipeline"))
            val variants = named(fields.field("variants")).mapValues { (recipe, value) ->
                variant(recipe, value as? Map<*, *> ?: throw JsonException("$recipe: no object"))
            }
            val default = fields.field<String>("default")
            require(default in variants) { "contract.json: the default $default is none of ${variants.keys}" }
            return Contract(
                model = fields.field("model"),
                title = fields.field("title"),
                pipeline = ImagePipeline.of(pipeline),
                alphaOver = pipeline.field<List<*>>("alpha_over").map { colour(it) },
                exif = pipeline.field<String>("orientation") == "exif",
                labelsFile = inside(fields.field("labels")),
                classes = fields.wholeNumber("classes"),
                default = default,
                variants = variants,
                shapes = (fields["shapes"] as? Map<*, *>)?.let { shapes(it) },
                operators = (fields["operators"] as? List<*>).orEmpty().map { (it as Map<*, *>).field("name") },
                golden = fields.field<List<*>>("golden").map { GoldenVector.of(it as Map<*, *>) },
            )
        }

        private fun variant(recipe: String, fields: Map<*, *>) = Variant(
            recipe = recipe,
            file = inside(fields.field("file")),
            sha256 = fields.field("sha256"),
            sizeBytes = fields.field<Number>("size_bytes").toLong(),
            input = tensor(fields.field("input")),
            output = tensor(fields.field("output")),
            tolerance = fields.field<Number>("tolerance").toDouble(),
            batch = if ("batch" in fields) fields.wholeNumber("batch") else 1,
        )

        private fun tensor(fields: Map<*, *>) = TensorType(
            fields.field("dtype"),
            fields.field<Number>("scale").toDouble(),
            fields.wholeNumber("zero_point"),
        )

        private fun shapes(fields: Map<*, *>): InputShapes {
            if (fields["shape"] == "enumerated") {
                return InputShapes.enumerated(fields.field<List<*>>("sizes").map { size(it) })
            }
            return InputShapes.range(size(fields["min"]), size(fields["max"]), size(fields["step"]))
        }

        private fun size(value: Any?): PictureSize {
            val sides = (value as? List<*>)?.filterIsInstance<Long>().orEmpty()
            require(sides.size == 2 && sides.all { it in 1..8192 }) { "expected a size; received $value" }
            return PictureSize(sides[0].toInt(), sides[1].toInt())
        }

        private fun colour(value: Any?): Int {
            val number = (value as? Number)?.toInt() ?: -1
            require(number in 0..255) { "expected a colour of 0 to 255; received $value" }
            return number
        }

        private fun named(fields: Map<*, *>): Map<String, Any?> = fields.entries.associate { it.key as String to it.value }
    }
}

/** A path that stays below the contract's folder. */
internal fun inside(path: String): String {
    val parts = path.split("/")
    require(parts.none { it.isEmpty() || it == "." || it == ".." } && '\\' !in path) {
        "$path leads out of the contract's folder"
    }
    return path
}
