// What edgedeploy's Kotlin calls of LiteRT's Interpreter, to compile against; it is not
// delivered. Written by hand after the public documentation of
// com.google.ai.edge.litert:litert 1.4.0, which was not at hand: unverified.
@file:Suppress("UNUSED_PARAMETER")

package org.tensorflow.lite

import java.nio.ByteBuffer

class Interpreter(model: ByteBuffer, options: Options) : AutoCloseable {
    class Options {
        fun setNumThreads(count: Int): Options = this
        fun setUseXNNPACK(use: Boolean): Options = this
    }

    fun resizeInput(index: Int, shape: IntArray): Unit = throw NotImplementedError()
    fun allocateTensors(): Unit = throw NotImplementedError()
    fun run(input: Any, output: Any): Unit = throw NotImplementedError()
    override fun close(): Unit = throw NotImplementedError()
}
