// What edgedeploy's Kotlin calls of LiteRT's Interpreter, for type checks alone. Written
// by hand after the public documentation of com.google.ai.edge.litert:litert 1.0.1, which
// was not at hand: unverified.
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
    fun getSignatureKeys(): Array<String> = throw NotImplementedError()
    fun getSignatureInputs(signature: String): Array<String> = throw NotImplementedError()
    fun getSignatureOutputs(signature: String): Array<String> = throw NotImplementedError()
    fun getInputTensorFromSignature(name: String, signature: String): Tensor =
        throw NotImplementedError()
    fun getOutputTensorFromSignature(name: String, signature: String): Tensor =
        throw NotImplementedError()
    fun runSignature(
        inputs: Map<String, Any>, outputs: Map<String, Any>, signature: String,
    ): Unit = throw NotImplementedError()
    override fun close(): Unit = throw NotImplementedError()
}

interface Tensor {
    fun shape(): IntArray
    fun dataType(): DataType
    fun numBytes(): Int
}

enum class DataType { FLOAT32, INT32, UINT8, INT64, STRING, BOOL, INT16, INT8 }
