// What edgedeploy's Kotlin training calls of LiteRT's Interpreter, for type checks alone.
// Written by hand after the public documentation of
// com.google.ai.edge.litert:litert 1.4.0, which was not at hand: unverified.
@file:Suppress("UNUSED_PARAMETER")

package org.tensorflow.lite

import java.nio.ByteBuffer

enum class DataType { FLOAT32, INT32 }

interface Tensor {
    fun shape(): IntArray

    fun dataType(): DataType
}

class Interpreter(model: ByteBuffer, options: Options) : AutoCloseable {
    class Options

    fun runSignature(inputs: Map<String, Any>, outputs: Map<String, Any>, key: String): Unit =
        throw NotImplementedError()

    fun getSignatureOutputs(key: String): Array<String> = throw NotImplementedError()

    fun getInputTensorFromSignature(name: String, key: String): Tensor =
        throw NotImplementedError()

    override fun close(): Unit = throw NotImplementedError()
}
