"""Noise, tensor by tensor: matching by hand, and a network whose noise is known."""

import numpy as np
import pytest
from PIL import Image

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.attribution import (
    KEPT,
    Layer,
    Operator,
    _layers,
    attribute_error,
    match_operators,
    name_layer,
    worst_layers,
)
from edgedeploy.ondevice.contract import ImagePipeline


def operators(*kinds, first=10):
    """A chain: each operator's input is the one before."""
    return tuple(
        Operator(
            kind=kind, output=first + at, inputs=(first + at - 1,), tensor=f"{kind}{at}"
        )
        for at, kind in enumerate(kinds)
    )


def layer(name, own_noise, operator="CONV_2D"):
    return Layer(
        name=name,
        operator=operator,
        tensor=name,
        snr_db=10.0,
        input_snr_db=20.0,
        own_noise=own_noise,
    )


def test_casts_are_no_operators_of_the_network():
    before = operators("CONV_2D", "ADD", "SOFTMAX")
    after = operators("QUANTIZE", "CONV_2D", "ADD", "SOFTMAX", "DEQUANTIZE")
    pairs = match_operators(before, after)
    assert [(one.kind, other.tensor) for one, other in pairs] == [
        ("CONV_2D", "CONV_2D1"),
        ("ADD", "ADD2"),
        ("SOFTMAX", "SOFTMAX3"),
    ]


def test_where_the_order_differs_equal_names_are_matched():
    before = operators("CONV_2D", "MUL", "ADD")
    after = (before[0], *operators("SUB", first=40), before[2])
    assert match_operators(before, after) == [
        (before[0], before[0]),
        (before[2], before[2]),
    ]
    # The same name on another kind of operator is another tensor.
    other = Operator(kind="SUB", output=3, inputs=(), tensor=before[2].tensor)
    assert match_operators(before, (before[0], other)) == [(before[0], before[0])]


def test_what_a_layer_adds_is_its_noise_less_its_inputs():
    chain = operators("CONV_2D", "ADD", "FULLY_CONNECTED", "SOFTMAX")
    pairs = list(zip(chain, chain, strict=True))
    # Shares of noise 0.001, 0.01, 0.004 and none at all.
    signal, noise = np.full(4, 1000.0), np.array([1.0, 10.0, 4.0, 0.0])
    found = _layers(pairs, signal, noise)
    assert [one.snr_db for one in found[:3]] == pytest.approx(
        [30, 20, 23.979], abs=1e-3
    )
    assert found[3].snr_db is None
    assert [one.own_noise for one in found] == pytest.approx([0.001, 0.009, 0, 0])
    assert [one.input_snr_db for one in found[1:]] == pytest.approx(
        [30, 20, 23.979], abs=1e-3
    )


def test_the_noisiest_of_several_inputs_counts():
    one, other = operators("CONV_2D"), operators("CONV_2D", first=20)
    joined = Operator(kind="ADD", output=30, inputs=(10, 20), tensor="sum")
    chain = (*one, *other, joined)
    found = _layers(
        list(zip(chain, chain, strict=True)), np.ones(3), np.array([0.1, 0.01, 0.12])
    )
    assert found[2].own_noise == pytest.approx(0.02)


def test_layers_with_weights_are_named_the_worst_first():
    layers = [layer(f"l{at}", at / 100) for at in range(8)]
    layers += [
        layer("sum", 0.5, operator="ADD"),
        layer("dw", 0.065, "DEPTHWISE_CONV_2D"),
    ]
    named = [one.name for one in worst_layers(layers)]
    assert named == ["l7", "dw", "l6", "l5", "l4"]
    assert len(named) == KEPT
    assert worst_layers([layer("clean", 0.0)]) == ()


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        (
            "net/relu/Relu6;net/bn/add;net/conv_stem/convolution;net/bn/sub",
            "net/conv_stem",
        ),
        ("net/relu/Relu6;net/block/depthwise;net/bn/mul", "net/block"),
        ("net/head/MatMul;net/head/BiasAdd", "net/head"),
        ("StatefulPartitionedCall:0", "StatefulPartitionedCall:0"),
        ("", ""),
    ],
)
def test_layers_are_named_by_what_was_fused(tensor, name):
    assert name_layer(tensor) == name


@pytest.fixture
def photos(tmp_path):
    random = np.random.default_rng(4)
    paths = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        Image.fromarray(random.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(
            path
        )
        paths.append(path)
    return paths


def contract(model):
    from edgedeploy.ondevice.runtime import Model

    _, height, width, _ = Model(model).input.shape
    return ImagePipeline(width=width, height=height)


def test_a_network_has_no_noise_against_itself(tiny_models, photos):
    model = tiny_models["float32"]
    found = attribute_error(
        model, model, photos, pipeline=contract(model), runtime="litert", what="x"
    )
    assert found
    assert {(one.snr_db, one.own_noise) for one in found} == {(None, 0.0)}


def test_int8_has_noise_and_a_plain_sum_over_the_answers_agrees(tiny_models, photos):
    from edgedeploy.ondevice.pictures import prepare
    from edgedeploy.ondevice.runtime import Model

    before, after = tiny_models["float32"], tiny_models["int8"]
    pipeline = contract(before)
    seen = []
    found = attribute_error(
        before, after, photos, pipeline=pipeline, runtime="litert", what="x",
        progress=lambda done, total, _found: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert all(one.snr_db is None or one.snr_db > 3 for one in found)
    assert any(one.own_noise for one in found)
    # The last tensor both networks have is the softmax, which `Model` gives too.
    networks = [Model(path, xnnpack=False) for path in (before, after)]
    x, q = (
        np.concatenate([n.scores(prepare(p, pipeline)[None], pipeline) for p in photos])
        for n in networks
    )
    expected = 10 * np.log10(np.sum(x.astype(float) ** 2) / np.sum((x - q) ** 2.0))
    assert found[-1].operator == "SOFTMAX"
    assert found[-1].snr_db == pytest.approx(expected, abs=0.01)


def test_networks_without_anything_in_common_are_an_error(tiny_models, tmp_path):
    with pytest.raises(EvaluationError, match="nothing to compare: 0 pictures"):
        attribute_error(
            tiny_models["float32"],
            tiny_models["int8"],
            [],
            pipeline=contract(tiny_models["float32"]),
            runtime="litert",
            what="x",
        )


@pytest.mark.parametrize("data", [b"", b"not a model" * 50])
def test_a_broken_model_is_one_clear_error(tiny_models, photos, tmp_path, data):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(data)
    model = tiny_models["float32"]
    with pytest.raises(EvaluationError, match=r"broken\.tflite"):
        attribute_error(
            model, broken, photos, pipeline=contract(model), runtime="litert", what="x"
        )
