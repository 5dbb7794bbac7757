import numpy as np
import pytest

from edgedeploy.quantize.latency import _piece, measure_latencies
from edgedeploy.quantize.layers import DEPTHWISE, read_float_model, weight_layers
from edgedeploy.quantize.observe import observe_network
from edgedeploy.quantize.solve import solve_layer
from edgedeploy.quantize.wave import cut, prepared


@pytest.fixture(scope="module")
def solved(float_network):
    model = read_float_model(float_network())
    layers = [x for x in weight_layers(model) if x.kind != DEPTHWISE]
    pictures = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype(np.float32)
    moments = observe_network(
        model, layers, list(pictures), threads=1, seed=1, tick=lambda: None
    )
    solutions = {
        (layer.operator, width): solve_layer(
            model, layer, width, moments[layer.operator]
        )
        for layer in layers
        for width in (8, 4)
    }
    return model, layers, solutions


def test_each_width_is_timed_against_8_bits(solved):
    model, layers, solutions = solved
    found = measure_latencies(model, layers, solutions)
    assert set(found) == {f"{x.operator}-{width}" for x in layers for width in (8, 4)}
    assert all(found[f"{x.operator}-8"] == 1.0 for x in layers)
    assert min(found.values()) > 0


def test_what_is_timed_is_the_layer_itself(solved):
    model, layers, solutions = solved
    layer = layers[1]
    operator = model.subgraphs[0].operators[layer.operator]
    results = [int(operator.outputs[0])]
    exact = cut(model, [operator], [layer.source], results)
    seen = np.random.default_rng(2).normal(size=(1, 8, 8, 16)).astype(np.float32)
    answers = []
    for piece in (exact, _piece(model, layer, solutions[layer.operator, 8])):
        runner = prepared(piece, 1)
        runner.set_tensor(runner.get_input_details()[0]["index"], seen)
        runner.invoke()
        answers.append(runner.get_tensor(runner.get_output_details()[0]["index"]))
    error = np.abs(answers[1] - answers[0]).max()
    assert 0 < error < 0.05 * np.abs(answers[0]).max()
