package edgedeploy

import kotlin.math.max
import kotlin.math.min

/**
 * The contract: how a picture becomes a tensor, as `pipeline` of contract.json says.
 *
 * Geometry is integer arithmetic on pixels, the same as `ondevice/contract.py`'s, so that
 * a phone cuts the very box that the network was measured with.
 */
data class ImagePipeline(
    val width: Int,
    val height: Int,
    val crop: String = "center_square",
    val cropFraction: Double = 1.0,
    val order: String = "crop_then_resize",
    val kernel: String = "bilinear",
    val antialias: Boolean = true,
    val channels: String = "rgb",
    val mean: List<Double> = listOf(0.0, 0.0, 0.0),
    val std: List<Double> = listOf(255.0, 255.0, 255.0),
) {
    init {
        require(width in 1..8192 && height in 1..8192) {
            "width and height must be 1 to 8192; received ${width}x$height"
        }
        require(cropFraction > 0 && cropFraction <= 1) {
            "crop_fraction must be in (0, 1]; received $cropFraction"
        }
        require(mean.size == 3 && std.size == 3 && std.all { it > 0 }) {
            "mean and std must be three numbers, one a channel; received $mean, $std"
        }
        requireOneOf("crop", crop, "center_square", "none")
        requireOneOf("order", order, "crop_then_resize", "resize_then_crop")
        requireOneOf("kernel", kernel, "nearest", *KERNELS.keys.toTypedArray())
        requireOneOf("channels", channels, "rgb", "bgr")
    }

    /** The same contract for another size of picture, which the network has to take. */
    fun at(width: Int, height: Int): ImagePipeline = copy(width = width, height = height)

    /** The box of a picture that reaches the tensor under crop_then_resize, in pixels. */
    fun cropBox(width: Int, height: Int): Box {
        val square = crop == "center_square"
        val side = min(width, height)
        val boxWidth = max(1, ((if (square) side else width) * cropFraction).toInt())
        val boxHeight = max(1, ((if (square) side else height) * cropFraction).toInt())
        // Sides are rounded down, offsets up.
        return Box(
            (width - boxWidth + 1).floorDiv(2),
            (height - boxHeight + 1).floorDiv(2),
            boxWidth,
            boxHeight,
        )
    }

    /** The size that resize_then_crop scales the whole picture to, as (width, height). */
    fun resizedSize(width: Int, height: Int): Pair<Int, Int> {
        val targetWidth = max(this.width, (this.width / cropFraction + 0.5).toInt())
        val targetHeight = max(this.height, (this.height / cropFraction + 0.5).toInt())
        if (crop == "none") return targetWidth to targetHeight
        // Whole numbers, rounded half up: no processor may move it by a pixel.
        val (w, h) = width.toLong() to height.toLong()
        return if (w * targetHeight >= h * targetWidth) {
            max(targetWidth, ((2 * w * targetHeight + h) / (2 * h)).toInt()) to targetHeight
        } else {
            targetWidth to max(targetHeight, ((2 * h * targetWidth + w) / (2 * w)).toInt())
        }
    }

    /** Crop and resize an upright picture; the result has the contract's size. */
    fun fit(picture: Rgb): Rgb {
        if (order == "crop_then_resize") {
            val cut = picture.cut(cropBox(picture.width, picture.height))
            return resize(cut, width, height, kernel, antialias)
        }
        val (wholeWidth, wholeHeight) = resizedSize(picture.width, picture.height)
        val whole = resize(picture, wholeWidth, wholeHeight, kernel, antialias)
        return whole.cut(
            Box((whole.width - width) / 2, (whole.height - height) / 2, width, height)
        )
    }

    companion object {
        /**
         * Read `pipeline` of contract.json, parsed to maps, lists, numbers and texts.
         *
         * @throws IllegalArgumentException if a field is missing or impossible
         */
        fun of(fields: Map<String, Any?>): ImagePipeline {
            fun number(name: String): Double =
                (fields[name] as? Number)?.toDouble()
                    ?: throw IllegalArgumentException("pipeline needs the number $name")

            fun text(name: String): String =
                fields[name] as? String
                    ?: throw IllegalArgumentException("pipeline needs the text $name")

            fun triple(name: String): List<Double> =
                (fields[name] as? List<*>)?.map {
                    (it as? Number)?.toDouble()
                        ?: throw IllegalArgumentException("$name must hold numbers")
                } ?: throw IllegalArgumentException("pipeline needs the list $name")

            return ImagePipeline(
                width = number("width").toInt(),
                height = number("height").toInt(),
                crop = text("crop"),
                cropFraction = number("crop_fraction"),
                order = text("order"),
                kernel = text("kernel"),
                antialias = fields["antialias"] as? Boolean
                    ?: throw IllegalArgumentException("pipeline needs antialias"),
                channels = text("channels"),
                mean = triple("mean"),
                std = triple("std"),
            )
        }

        private fun requireOneOf(name: String, value: String, vararg allowed: String) {
            require(value in allowed) {
                "$name must be one of ${allowed.joinToString()}; received $value"
            }
        }
    }
}

/** A rectangle of a picture, in whole pixels. */
data class Box(val left: Int, val top: Int, val width: Int, val height: Int)
