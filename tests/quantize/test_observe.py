import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgedeploy.quantize.layers import DEPTHWISE, read_float_model, weight_layers
from edgedeploy.quantize.observe import observe_network


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(1)
    return list(random.normal(size=(11, 16, 16, 3)).astype(np.float32))


def _observed(data, pictures):
    model = read_float_model(data)
    layers = weight_layers(model)
    moments = observe_network(
        model, layers, pictures, threads=1, seed=1, tick=lambda: None
    )
    return layers, moments


def test_a_1x1_convolution_sees_the_moments_of_its_input(float_network, pictures):
    data = float_network()
    layers, moments = _observed(data, pictures)
    wide = layers[2]
    runner = Interpreter(
        model_content=data,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=_without_delegate(),
    )
    runner.allocate_tensors()
    seen = []
    for picture in pictures:
        runner.set_tensor(runner.get_input_details()[0]["index"], picture[None])
        runner.invoke()
        seen.append(runner.get_tensor(wide.source).reshape(-1, wide.columns))
    # 8x8 pixels: every one is looked at.
    x = np.concatenate(seen).astype(np.float64)
    found = moments[wide.operator]
    np.testing.assert_allclose(found.mean, x.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.second, np.cov(x.T, bias=True), atol=1e-4)
    assert found.pictures == len(pictures)


def _without_delegate():
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def test_depthwise_channels_have_variances_of_their_own(float_network, pictures):
    layers, moments = _observed(float_network(), pictures)
    depthwise = layers[1]
    assert depthwise.kind == DEPTHWISE
    found = moments[depthwise.operator]
    assert found.mean.shape == found.second.shape == (16, 9)
    assert (found.second >= 0).all()


def test_observing_twice_gives_the_same(float_network, pictures):
    data = float_network()
    (_, first), (_, second) = (_observed(data, pictures) for _ in range(2))
    for operator, moments in first.items():
        np.testing.assert_array_equal(moments.second, second[operator].second)


def test_a_picture_that_counts_twice_is_one_that_comes_twice(float_network, pictures):
    model = read_float_model(float_network())
    layers = weight_layers(model)
    counts = iter([2.0] + [1.0] * (len(pictures) - 1))
    weighted = observe_network(
        model,
        layers,
        pictures,
        threads=1,
        seed=1,
        tick=lambda: None,
        weigh=lambda _: next(counts),
    )
    _, twice = _observed(float_network(), [pictures[0], *pictures])
    wide = layers[2].operator
    np.testing.assert_allclose(weighted[wide].mean, twice[wide].mean, atol=1e-5)
    np.testing.assert_allclose(weighted[wide].second, twice[wide].second, atol=1e-4)
    # 11 pictures, one counting double: 12 * 12 / (4 + 10).
    assert weighted[wide].pictures == pytest.approx(144 / 14)
