package edgedeploy

import org.tensorflow.lite.Interpreter

/** Resizes a LiteRT interpreter, of `com.google.ai.edge.litert:litert` 1.x. */
class LiteRtResizing(private val interpreter: Interpreter) : Resizing {
    override fun resizeInput(index: Int, dimensions: IntArray) =
        interpreter.resizeInput(index, dimensions)

    override fun allocateTensors() = interpreter.allocateTensors()
}
