import edgedeploy.ImagePipeline
import edgedeploy.InputShapes
import edgedeploy.PictureSize
import edgedeploy.ResizableModel
import edgedeploy.Resizing
import edgedeploy.UnknownSizeException

class Recorder : Resizing {
    val calls = mutableListOf<String>()
    var fails = false

    override fun resizeInput(index: Int, dimensions: IntArray) {
        calls.add("resize $index ${dimensions.joinToString("x")}")
    }

    override fun allocateTensors() {
        calls.add("allocate")
        check(!fails) { "no memory" }
    }
}

fun size(text: String): PictureSize {
    val (width, height) = text.split("x").map(String::toInt)
    return PictureSize(width, height)
}

fun refusal(work: () -> Unit): String =
    try {
        work()
        "not refused"
    } catch (error: IllegalArgumentException) {
        "refused: ${error.message}"
    }

fun main(arguments: Array<String>) {
    val list = InputShapes.enumerated(arguments[0].split(",").map(::size))
    val (low, high, step) = arguments[1].split(",").map(::size)
    val range = InputShapes.range(low, high, step)
    val sides = arguments[2].split(",").map(String::toInt)
    for (shapes in listOf(list, range)) {
        println(shapes.describe())
        for (w in sides) println(sides.joinToString("") { if (shapes.allows(w, it)) "1" else "0" })
    }
    val recorder = Recorder()
    val model = ResizableModel(recorder, ImagePipeline(32, 32), list)
    for (text in listOf("32x32", "64x32", "64x32", "32x32")) {
        val wanted = size(text)
        model.resize(wanted.width, wanted.height)
        recorder.calls.add("now ${model.pipeline.width}x${model.pipeline.height}")
    }
    recorder.fails = true
    try {
        model.resize(64, 32)
    } catch (error: IllegalStateException) {
        recorder.calls.add("failed, still ${model.pipeline.width}x${model.pipeline.height}")
    }
    recorder.fails = false
    model.resize(32, 32)
    recorder.calls.forEach(::println)
    println(refusal { model.resize(33, 32) })
    println(refusal { ResizableModel(recorder, ImagePipeline(8, 8), null).resize(9, 8) })
    println(refusal { ResizableModel(recorder, ImagePipeline(8, 8), list) })
    println(refusal { InputShapes.enumerated(emptyList()) })
    println(refusal { InputShapes.range(size("32x32"), size("65x64"), size("32x32")) })
    println(refusal { InputShapes.range(size("32x32"), size("64x64"), size("0x32")) })
}
