"""Fine-tuning on the small network, in one process: TensorFlow is slow to import."""

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from edgedeploy.errors import FormatError, QuantizationError
from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.ondevice.contract import ImagePipeline, normalise
from edgedeploy.quantize.finetune import tune as tuning
from edgedeploy.quantize.finetune.graph import Graph
from edgedeploy.quantize.finetune.train import Schedule, train
from edgedeploy.quantize.layers import (
    bias_of,
    copy_model,
    read_float_model,
    weight_layers,
    weights_of,
)
from edgedeploy.quantize.observe import observe_network
from edgedeploy.quantize.search import closeness
from edgedeploy.quantize.solve import solve_layer
from edgedeploy.quantize.wave import scores_of
from edgedeploy.quantize.write import write_solved

PIPELINE = ImagePipeline(width=16, height=16)
SCHEDULE = Schedule(steps=60, batch=8)


def _pictures(count, seed):
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    kernel = Image.Resampling.BICUBIC
    return [np.asarray(Image.fromarray(one).resize((16, 16), kernel)) for one in coarse]


class Network:
    """The network, its layers solved with 4 bits but for the depthwise ones."""

    def __init__(self, data):
        self.data = data
        self.model = read_float_model(data)
        self.layers = weight_layers(self.model)
        self.learning = _pictures(64, seed=1)
        self.others = [normalise(one, PIPELINE) for one in _pictures(96, seed=2)]
        self.reference = scores_of(data, self.others, 1)
        moments = observe_network(
            self.model,
            self.layers,
            [normalise(one, PIPELINE) for one in self.learning],
            threads=1,
            seed=1,
            tick=lambda: None,
        )
        self.widths = {
            layer.operator: 8 if layer.kind == "depthwise" else 4
            for layer in self.layers
        }
        self.solved = [
            solve_layer(self.model, x, self.widths[x.operator], moments[x.operator])
            for x in self.layers
        ]
        self.solved = [one.solved for one in self.solved]

    def train(self, solved, **changes):
        known = {"checked": (self.others[0], self.reference[0]), "schedule": SCHEDULE}
        return train(
            self.model,
            self.layers,
            solved,
            self.widths,
            self.learning,
            PIPELINE,
            **{"tick": lambda: None, **known, **changes},
        )

    def divergence(self, solved):
        """From float32, on pictures that took no part."""
        scores = scores_of(write_solved(self.model, solved), self.others, 1)
        return closeness(self.reference, scores).mean_kl


@pytest.fixture(scope="module")
def network(float_network):
    return Network(float_network(sharpness=6.0))


@pytest.fixture(scope="module")
def spoilt(network):
    """Solved layers, one of them with steps and a bias that are off."""
    off = network.solved[2]
    worse = replace(off, steps=off.steps * np.float32(1.15), bias=off.bias + 0.1)
    return [*network.solved[:2], worse, *network.solved[3:]]


@pytest.fixture(scope="module")
def trained(network, spoilt):
    ticks = []
    return network.train(spoilt, tick=lambda: ticks.append(1)), ticks


def test_wrong_steps_and_biases_are_mended_for_pictures_that_took_no_part(
    network, spoilt, trained
):
    before, after = network.divergence(spoilt), network.divergence(trained[0])
    assert after < 0.7 * before


def test_codes_of_4_bits_stand(spoilt, trained):
    for old, new in zip(spoilt, trained[0], strict=True):
        if old.bits == 4:
            assert np.array_equal(old.codes, new.codes)
            assert not np.array_equal(old.steps, new.steps)


def test_weights_of_8_bits_move_and_stay_on_their_grid(spoilt, trained):
    pairs = [pair for pair in zip(spoilt, trained[0], strict=True) if pair[0].bits == 8]
    assert pairs
    for old, new in pairs:
        assert not np.array_equal(old.codes, new.codes)
        assert new.codes.dtype == np.int8
        assert np.abs(new.codes.astype(int)).max() <= 127
        assert new.steps.min() > 0


def test_each_step_is_told(trained):
    assert len(trained[1]) == SCHEDULE.steps


def test_the_same_seed_gives_the_same_bytes(network, spoilt, trained):
    again = network.train(spoilt)
    assert write_solved(network.model, again) == write_solved(network.model, trained[0])


def test_tensorflow_answers_what_litert_answers(network):
    graph = Graph(network.model, {x.operator: x for x in network.layers})
    kernels = {
        x.operator: (weights_of(network.model, x), bias_of(network.model, x))
        for x in network.layers
    }
    scores, seen = graph(np.stack(network.others), kernels)
    assert np.abs(np.asarray(scores) - network.reference).max() < 1e-4
    assert list(seen) == [x.operator for x in network.layers]


def test_an_answer_other_than_litert_s_is_refused(network):
    wrong = np.roll(network.reference[0], 1)
    with pytest.raises(QuantizationError, match=r"otherwise than LiteRT.*Leave"):
        network.train(network.solved, checked=(network.others[0], wrong))


def test_an_operator_without_a_rule_is_named(network):
    model = copy_model(network.model)
    model.operatorCodes = [*model.operatorCodes]
    last = model.subgraphs[0].operators[-1].opcodeIndex
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.L2_POOL_2D
    model.operatorCodes[last] = code
    with pytest.raises(QuantizationError, match="cannot differentiate L2_POOL_2D"):
        Graph(model, {})


def test_a_constant_that_does_not_fill_its_shape_is_malformed(network):
    model = read_float_model(pack_model(network.model))
    tensor = model.subgraphs[0].tensors[network.layers[0].weights]
    model.buffers[tensor.buffer].data = model.buffers[tensor.buffer].data[:-4]
    with pytest.raises(FormatError, match="no constant of 32-bit numbers"):
        Graph(model, {})(network.others[0][None], {})


def _tune(network, monkeypatch, *, solution, result):
    """Fine-tune a solution, with a training that ends in a result that is known."""
    monkeypatch.setattr(tuning, "settle_tensorflow", lambda threads: None)
    monkeypatch.setattr(tuning, "train", lambda *given, **named: result)
    return tuning.tune(
        network.model,
        network.layers,
        solution,
        network.widths,
        tuning.TuningPictures(
            learning=tuple(network.learning),
            judging=tuple(_pictures(16, seed=5)),
            unreadable=0,
        ),
        PIPELINE,
        original=network.data,
        solution=write_solved(network.model, solution),
        choosing=network.others[:16],
        threads=1,
        tick=lambda: None,
    )


def test_what_is_better_is_kept(network, spoilt, trained, monkeypatch):
    found = _tune(network, monkeypatch, solution=spoilt, result=trained[0])
    assert found.kept
    assert found.data == write_solved(network.model, trained[0])
    assert found.judging == 32
    before, after = found.to_dict()["mean_kl"]
    assert after < before


def test_what_is_worse_is_not_kept(network, spoilt, monkeypatch):
    found = _tune(network, monkeypatch, solution=network.solved, result=spoilt)
    assert not found.kept
    assert found.data == write_solved(network.model, network.solved)
    before, after = found.to_dict()["mean_kl"]
    assert after > before


def test_what_is_equal_is_not_kept(network, monkeypatch):
    found = _tune(network, monkeypatch, solution=network.solved, result=network.solved)
    assert not found.kept
    assert found.before == found.after
