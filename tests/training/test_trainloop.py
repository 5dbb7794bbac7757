"""The loop: it learns, stops, goes on after a kill, and survives bad numbers."""

import subprocess
import sys

import numpy as np
import pytest

from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.learner import Examples, Learner
from edgedeploy.ondevice.tensors import ModelError
from edgedeploy.ondevice.trainloop import Plan, Training, TrainingDivergedError
from edgedeploy.training.export import export_trainable


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from keras import Input, Sequential, layers, utils

    utils.set_random_seed(3)
    net = Sequential(
        [
            Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.1),
            layers.Dense(3, activation="softmax"),
        ]
    )
    path = tmp_path_factory.mktemp("loop") / "model.tflite"
    path.write_bytes(export_trainable(net, batch_size=16).data)
    return path


def bars(rows, seed):
    """Draw rows, columns or nothing but noise: three classes that are easy to tell."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    x = rng.integers(0, 90, (rows, 8, 8, 1)).astype(np.uint8)
    for i, label in enumerate(labels):
        if label == 0:
            x[i, rng.integers(0, 8)] = 250
        elif label == 1:
            x[i, :, rng.integers(0, 8)] = 250
    return Examples(x=x, labels=labels)


def _plan(**changes):
    return Plan(**({"epochs": 4, "learning_rate": 0.01, "seed": 1} | changes))


def _curve(result):
    return [(e["epoch"], e["loss"], e["test_accuracy"]) for e in result]


def test_it_learns_what_can_be_learnt(model):
    done = Training(Learner(model), bars(500, 0), bars(200, 1), _plan(epochs=6)).run()
    assert [e["epoch"] for e in done] == [1, 2, 3, 4, 5, 6]
    assert done[-1]["test_accuracy"] > 0.9
    assert done[-1]["loss"] < done[0]["loss"] / 2


_RUN = """
import json, sys
from pathlib import Path
import numpy as np
from edgedeploy.ondevice.learner import Examples, Learner
from edgedeploy.ondevice.trainloop import Plan, Training
with np.load(sys.argv[2]) as data:
    parts = [Examples(x=data["x"], labels=data["y"])] * 2
def progress(done, total):
    print(done, flush=True)
plan = Plan(epochs=4, learning_rate=0.01, seed=1, checkpoint_s=0.0)
training = Training(Learner(Path(sys.argv[1])), *parts, plan,
                    checkpoint=Path(sys.argv[3]), progress=progress)
print(json.dumps([training.resumed, training.run()]), flush=True)
"""


def test_a_killed_training_goes_on_exactly(model, tmp_path):
    import json

    data = bars(200, 0)
    np.savez(tmp_path / "data.npz", x=data.x, y=data.labels)
    expected = Training(Learner(model), data, data, _plan()).run()
    words = [str(model), str(tmp_path / "data.npz"), str(tmp_path / "checkpoint")]
    for stop in (130, 470):
        run = subprocess.Popen(
            [sys.executable, "-c", _RUN, *words], stdout=subprocess.PIPE, text=True
        )
        for line in run.stdout:
            if int(line) >= stop:
                break
        run.kill()
        run.wait()
        run.stdout.close()
    last = subprocess.run(
        [sys.executable, "-c", _RUN, *words], capture_output=True, text=True
    )
    resumed, result = json.loads(last.stdout.splitlines()[-1])
    assert resumed
    assert _curve(result) == _curve(expected)


def test_more_epochs_go_on_from_fewer(model, tmp_path):
    data = bars(100, 0)
    whole = Training(Learner(model), data, data, _plan(epochs=3)).run()
    for epochs in (1, 3):
        training = Training(
            Learner(model), data, data, _plan(epochs=epochs),
            checkpoint=tmp_path / "c",
        )  # fmt: skip
        result = training.run()
    assert training.resumed
    assert _curve(result) == _curve(whole)


@pytest.mark.parametrize("rate", [1e30, 1e4, 3e38])
def test_an_absurd_learning_rate_is_noticed_and_the_model_kept(model, rate):
    learner, data = Learner(model), bars(200, 0)
    before = learner.save()
    with pytest.raises(TrainingDivergedError, match="Lower the learning rate"):
        Training(learner, data, data, _plan(learning_rate=rate)).run()
    after = learner.save()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_not_a_number_in_the_data_is_noticed_and_the_last_state_kept(model, tmp_path):
    data = bars(64, 0)
    good = Examples(x=data.x.astype(np.float32) / 255, labels=data.labels)
    learner = Learner(model)
    Training(learner, good, good, _plan(epochs=1)).run()
    before = learner.save()
    bad = Examples(x=good.x.copy(), labels=good.labels)
    bad.x[10] = np.nan
    training = Training(learner, bad, good, _plan(), checkpoint=tmp_path / "c")
    training._kept = before
    with pytest.raises(TrainingDivergedError):
        training.run()
    after = learner.save()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert not (tmp_path / "c").exists()


def test_it_stops_when_nothing_gets_better(model):
    rng = np.random.default_rng(0)
    noise = Examples(
        x=rng.integers(0, 255, (48, 8, 8, 1)).astype(np.uint8),
        labels=rng.integers(0, 3, 48),
    )
    done = Training(
        Learner(model), noise, bars(60, 2), _plan(epochs=40, patience=3)
    ).run()
    assert len(done) < 40
    seen = [e["test_accuracy"] for e in done]
    assert max(seen[-3:]) <= max(seen[:-3])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "epochs"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"learning_rate": float("nan")}, "learning rate"),
        ({"patience": -1}, "patience"),
    ],
)
def test_plans_without_sense_are_refused(changes, words):
    with pytest.raises(ContractError, match=words):
        _plan(**changes)


def test_another_trainings_checkpoint_is_not_taken(model, tmp_path):
    data = bars(50, 0)
    Training(
        Learner(model), data, data, _plan(epochs=1), checkpoint=tmp_path / "c"
    ).run()
    for other in ({"seed": 9}, {"learning_rate": 0.5}):
        with pytest.raises(ContractError, match="delete it"):
            Training(
                Learner(model), data, data, _plan(**other), checkpoint=tmp_path / "c"
            )
    with pytest.raises(ContractError, match="delete it"):
        Training(Learner(model), bars(50, 4), data, _plan(), checkpoint=tmp_path / "c")


def test_labels_and_shapes_that_do_not_fit_are_refused(model):
    learner, data = Learner(model), bars(20, 0)
    with pytest.raises(ModelError, match="labels must be 0 to 2"):
        learner.step(data.x[:3], np.array([0, 1, 3]), 0.1)
    with pytest.raises(ModelError, match="rows of"):
        learner.step(data.x[:3, :4], data.labels[:3], 0.1)


def test_a_model_that_cannot_learn_is_named(tmp_path):
    (tmp_path / "no.tflite").write_bytes(b"x" * 100)
    with pytest.raises(ModelError, match="not a model"):
        Learner(tmp_path / "no.tflite")
    with pytest.raises(ModelError, match="cannot be read"):
        Learner(tmp_path / "missing.tflite")
