"""A layer becomes one operator in the file, and nothing else changes."""

import struct

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgedeploy.errors import ConversionError, FormatError
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.tflite_layout import misaligned_buffers, pack_model
from edgedeploy.ondevice.runtime import Model
from edgedeploy.operators import Fusion, fuse_layer


@pytest.fixture
def fusion(pooling):
    return Fusion(layer=pooling.LAYER, name=pooling.NAME, options=(4,))


def test_layer_of_four_operators_becomes_one(pooling, fusion):
    fused = summarize(fuse_layer(pooling.pooling_model(), fusion))
    assert [(op.name, op.count, op.custom) for op in fused.operators] == [
        (pooling.NAME, 1, True)
    ]
    before = summarize(pooling.pooling_model())
    assert (fused.inputs, fused.outputs) == (before.inputs, before.outputs)
    assert fused.signatures == before.signatures
    assert fused.custom_ops == (pooling.NAME,)


def test_models_own_operators_give_the_reference_before_they_are_fused(pooling):
    # So that the reference in NumPy is not our own invention.
    for k in (1, 4, 30):
        values = pooling.random_values((2, 5, 6, 7), pooling.FLOAT32, seed=k)
        found = Model(pooling.pooling_model(k=k)).invoke(values)
        np.testing.assert_allclose(found, pooling.pool(values, k), atol=1e-6)


def test_layer_at_the_end_is_known_by_its_constants(pooling, fusion):
    """TensorFlow calls what the last layer gives after the network's output."""
    axis = f"net/{pooling.LAYER}_1/Mean/reduction_indices"
    model = pooling.pooling_model(last="StatefulPartitionedCall:0", axis=axis)
    (operator,) = summarize(fuse_layer(model, fusion)).operators
    assert operator.name == pooling.NAME


def test_end_that_nothing_names_is_refused_and_not_guessed(pooling, fusion):
    model = pooling.pooling_model(last="StatefulPartitionedCall:0")
    with pytest.raises(ConversionError, match="may be the layer's own last one"):
        fuse_layer(model, fusion)


def test_options_are_the_quantisation_and_the_whole_numbers(pooling, fusion):
    data = fuse_layer(pooling.pooling_model(dtype=pooling.INT8), fusion)
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    (operator,) = model.subgraphs[0].operators
    # version, scales and zero points, how many numbers, room for eight of them.
    assert struct.unpack("<ififii8i", bytes(operator.customOptions)) == (
        1,
        pytest.approx(0.05),
        3,
        pytest.approx(0.03),
        -7,
        1,
        *(4, 0, 0, 0, 0, 0, 0, 0),
    )


def test_constants_of_the_layer_are_dropped_and_the_rest_is_aligned(pooling, fusion):
    data = fuse_layer(pooling.pooling_model(), fusion)
    assert dict(summarize(data).weight_bytes) == {}
    assert misaligned_buffers(data) == ()


def test_same_model_gives_the_same_bytes(pooling, fusion):
    model = pooling.pooling_model()
    assert fuse_layer(model, fusion) == fuse_layer(model, fusion)


def test_unknown_layer_is_named(pooling):
    with pytest.raises(ConversionError, match="no operator of a layer 'top_k'"):
        fuse_layer(pooling.pooling_model(), Fusion(layer="top_k", name="X"))


def test_layer_with_two_outputs_is_refused(pooling, fusion):
    model = schema.ModelT.InitFromPackedBuf(pooling.pooling_model(), 0)
    (graph,) = model.subgraphs
    graph.outputs = [*graph.outputs, graph.operators[2].outputs[1]]
    with pytest.raises(ConversionError, match="one input and one output"):
        fuse_layer(pack_model(model), fusion)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x00" * 64, b"TFL3" * 100])
def test_bytes_that_are_no_model_are_refused(fusion, data):
    with pytest.raises(FormatError):
        fuse_layer(data, fusion)


@pytest.mark.parametrize("length", [20, 100, 400, 800])
def test_truncated_model_is_refused(pooling, fusion, length):
    with pytest.raises(FormatError):
        fuse_layer(pooling.pooling_model()[:length], fusion)


@pytest.mark.parametrize("options", [(1,) * 9, (2**31,), (1.5,), (True,)])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConversionError, match="at most 8 whole numbers"):
        Fusion(layer="x", name="X", options=options)
