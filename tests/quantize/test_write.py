import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgedeploy.errors import FormatError, QuantizationError
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.tflite_layout import misaligned_buffers, pack_model
from edgedeploy.ondevice.runtime import Model
from edgedeploy.quantize.layers import (
    CONV,
    DENSE,
    DEPTHWISE,
    copy_model,
    read_float_model,
    set_layer,
    weight_layers,
    weights_of,
)
from edgedeploy.quantize.observe import observe_network
from edgedeploy.quantize.solve import BLOCKED, can_be_blocked, solve_layer
from edgedeploy.quantize.wave import scores_of
from edgedeploy.quantize.write import write_solved

SIDE = 16


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(1)
    shape = (24, SIDE, SIDE, 3)
    return list(random.normal(size=shape).astype(np.float32))


def _solved(data, pictures, narrow=4):
    model = read_float_model(data)
    layers = weight_layers(model)
    moments = observe_network(
        model, layers, pictures, threads=1, seed=1, tick=lambda: None
    )
    return model, [
        solve_layer(model, x, narrow if x.pointwise else 8, moments[x.operator]).solved
        for x in layers
    ]


def test_layers_are_found_with_their_kinds_and_sizes(float_network):
    model = read_float_model(float_network())
    layers = weight_layers(model)
    found = [(layer.kind, layer.rows, layer.columns) for layer in layers]
    assert found == [(CONV, 16, 27), (DEPTHWISE, 16, 9), (CONV, 32, 16), (DENSE, 4, 32)]
    assert [layer.pointwise for layer in layers] == [False, False, True, True]


@pytest.mark.parametrize("narrow", [4, 8])
def test_written_model_answers_as_its_codes_say(float_network, pictures, narrow):
    data = float_network()
    model, solved = _solved(data, pictures, narrow)
    real = copy_model(model)
    for one in solved:
        set_layer(real, one.layer, one.weights(), one.bias)
    expected = scores_of(pack_model(real), pictures, 1)
    found = scores_of(write_solved(model, solved), pictures, 1)
    # The rest is the rounding of activations to 8 bits.
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert np.abs(expected - scores_of(data, pictures, 1)).max() > 1e-5


def test_narrow_weights_are_int4_and_everything_is_aligned(float_network, pictures):
    model, solved = _solved(float_network(), pictures)
    data = write_solved(model, solved)
    weights = dict(summarize(data).weight_bytes)
    assert weights["int4"] == (32 * 16 + 4 * 32) // 2
    assert weights["int8"] == 16 * 27 + 16 * 9
    assert misaligned_buffers(data) == ()


def test_depthwise_and_layers_of_few_inputs_are_unpacked_at_load(
    float_network, pictures
):
    model, solved = _solved(float_network(), pictures)
    data = write_solved(model, solved)
    counts = {op.name: op.count for op in summarize(data).operators}
    # The first convolution (27 inputs) and the depthwise one keep their operators.
    assert counts["DEQUANTIZE"] == 2
    assert counts["CONV_2D"] == counts["DEPTHWISE_CONV_2D"] == 1
    assert counts["FULLY_CONNECTED"] == 2


def test_solving_leaves_the_float_model_as_it_was(float_network, pictures):
    data = float_network()
    model = read_float_model(data)
    before = [weights_of(model, layer) for layer in weight_layers(model)]
    solved = _solved(data, pictures)[1]
    write_solved(model, solved)
    for layer, weights in zip(weight_layers(model), before, strict=True):
        np.testing.assert_array_equal(weights_of(model, layer), weights)


def test_a_dead_channel_runs_and_stays_dead(float_network, pictures):
    data = float_network(dead_channel=True)
    model, solved = _solved(data, pictures)
    dead = next(one for one in solved if one.layer.columns == 16)
    assert not dead.codes[3].any()
    assert (dead.steps > 0).all()
    written = write_solved(model, solved)
    assert np.isfinite(scores_of(written, pictures, 1)).all()
    # XNNPACK refuses a step of 0, which would be a slow kernel here.
    assert Model(written).fallback == {}


def test_solving_twice_gives_the_same_bytes(float_network, pictures):
    first, second = (
        write_solved(*_solved(float_network(), pictures)) for _ in range(2)
    )
    assert first == second


def test_a_quantised_file_has_nothing_left_to_solve(float_network, pictures):
    data = write_solved(*_solved(float_network(), pictures))
    with pytest.raises(QuantizationError, match="no layer with constant float32"):
        weight_layers(read_float_model(data))


@pytest.mark.parametrize("cut", [0, 3, 20, 200, -50])
def test_truncated_files_are_format_errors(float_network, cut):
    data = float_network()
    with pytest.raises((FormatError, QuantizationError)):
        weight_layers(read_float_model(data[:cut]))


def test_steps_of_blocks_run_as_their_codes_say(float_network, pictures):
    data = float_network()
    model = read_float_model(data)
    layers = weight_layers(model)
    moments = observe_network(
        model, layers, pictures, threads=1, seed=1, tick=lambda: None
    )
    dense = layers[3]
    assert dense.columns == 32
    assert [can_be_blocked(layer) for layer in layers] == [False, False, False, True]
    solved = solve_layer(model, dense, BLOCKED, moments[dense.operator]).solved
    assert (solved.bits, solved.steps.shape) == (4, (dense.rows, 1))
    real = copy_model(model)
    set_layer(real, dense, solved.weights(), solved.bias)
    expected = scores_of(pack_model(real), pictures, 1)
    written = write_solved(model, [solved])
    np.testing.assert_allclose(scores_of(written, pictures, 1), expected, atol=0.03)
    counts = {op.name: op.version for op in summarize(written).operators}
    # Runtimes that do not know blocks would answer nonsense: the version stops them.
    assert counts["FULLY_CONNECTED"] == 14
    assert Model(written).fallback == {}


@pytest.mark.parametrize(
    ("width", "declared", "expected"),
    [
        (4, "1.5.0", "2.17.0"),
        (BLOCKED, "1.5.0", "2.21.0"),
        (BLOCKED, "2.22.1", "2.22.1"),
        (BLOCKED, "none?", "2.21.0"),
        (BLOCKED, "", "2.21.0"),
    ],
)
def test_oldest_runtime_is_that_of_the_youngest_operator(
    float_network, pictures, width, declared, expected
):
    model = read_float_model(float_network())
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = b"min_runtime_version", len(model.buffers)
    buffer.data = np.frombuffer(declared.encode().ljust(16, b"\0"), np.uint8)
    model.buffers.append(buffer)
    model.metadata = [entry]
    layers = weight_layers(model)
    moments = observe_network(
        model, layers, pictures[:2], threads=1, seed=1, tick=lambda: None
    )
    dense = layers[3]
    solved = solve_layer(model, dense, width, moments[dense.operator]).solved
    found = summarize(write_solved(model, [solved]))
    # TensorFlow's runtime_version.cc for FULLY_CONNECTED 12 and 14.
    assert found.min_runtime_version == expected


def test_slow_4_bit_kernels_are_visible_as_what_xnnpack_left(float_network, pictures):
    model = read_float_model(float_network())
    layers = weight_layers(model)
    moments = observe_network(
        model, layers, pictures, threads=1, seed=1, tick=lambda: None
    )
    wide = layers[0]
    assert (wide.kind, wide.pointwise) == (CONV, False)
    narrow = solve_layer(model, wide, 4, moments[wide.operator]).solved
    loaded = Model(write_solved(model, [narrow]))
    assert (loaded.delegate, loaded.fallback) == ("XNNPACK", {"CONV_2D": 1})
