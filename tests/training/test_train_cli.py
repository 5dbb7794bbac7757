"""The tasks, on a user's own tiny network and folder of pictures."""

import base64
import json

import numpy as np
import pytest
from PIL import Image

from edgedeploy.cli import main


@pytest.fixture
def project(tmp_path, monkeypatch):
    from keras import Input, Sequential, layers

    model = Sequential(
        [
            Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.save(tmp_path / "Own Net.keras")
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name, level in (("dark", 40), ("light", 200)):
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True)
            for i in range(12):
                pixels = rng.integers(level - 30, level + 30, (8, 8)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _call(name, **values):
    words = []
    for flag, value in values.items():
        words.append(f"--{flag.replace('_', '-')}")
        words += [] if value is True else [value]
    main([f"train.{name}", *words])


OWN = {"model": "Own Net.keras", "batch_size": "8", "json": True}
DATA = {"data": "data", "threads": "1"}


@pytest.mark.slow
def test_run_trains_and_evaluate_measures_what_it_left(project, capsys):
    plan = {"epochs": "3", "learning_rate": "0.05"}
    _call("run", **OWN, **DATA, **plan)
    result = json.loads(capsys.readouterr().out)
    assert [e["epoch"] for e in result["epochs"]] == [1, 2, 3]
    assert set(result["epochs"][0]) == {
        "epoch", "loss", "test_accuracy", "cpu_s", "wall_s",
    }  # fmt: skip
    assert (
        result["model_bytes"]
        == (project / "build/own_net/training/model.tflite").stat().st_size
    )
    assert result["peak_rss_bytes"] > 10_000_000
    curve = project / "build/own_net/training/curve.png"
    with Image.open(curve) as drawn:
        assert drawn.width > 600
    page = (project / "build/own_net/training/report.html").read_text("utf-8")
    assert base64.b64encode(curve.read_bytes()).decode() in page
    best = max(epoch["test_accuracy"] for epoch in result["epochs"])
    assert f"Best test accuracy {100 * best:.2f} %" in page
    _call("evaluate", **OWN, **DATA)
    found = json.loads(capsys.readouterr().out)
    assert found["test_accuracy"] == result["epochs"][-1]["test_accuracy"]
    assert found["images"] == 24
    # Again: all epochs are done, so nothing is trained.
    _call("run", **OWN, **DATA, **plan)
    again = json.loads(capsys.readouterr().out)
    assert again["resumed"]
    assert again["epochs"] == result["epochs"]


@pytest.mark.slow
def test_package_writes_for_the_pi_and_for_android(project, capsys):
    _call("package", **OWN)
    archive, android = json.loads(capsys.readouterr().out)["deliverables"]
    assert archive.endswith("own_net-training-pi.tar.gz")
    assert (project / archive).stat().st_size > 10_000
    model = (project / "build/own_net/training/model.tflite").read_bytes()
    assert (project / android / "assets" / "model.tflite").read_bytes() == model
    kotlin = {p.name for p in (project / android / "kotlin" / "edgedeploy").iterdir()}
    assert kotlin == {"Checkpoint.kt", "Training.kt", "TfliteLearner.kt"}


@pytest.mark.parametrize(
    ("task", "values", "words"),
    [
        ("export", {"model": "nonesuch"}, "no training"),
        ("export", {"model": "missing.keras"}, "no such model file"),
        ("export", {"model": "lenet_mnist", "optimizer": "lion"}, "optimizer must be"),
        ("export", {"model": "lenet_mnist", "trainable_last": "x"}, "takes a count"),
        ("run", OWN, "give --data"),
        ("run", OWN | {"data": "nowhere"}, "no such folder"),
        ("evaluate", OWN | DATA, "train first"),
    ],
)
def test_mistakes_are_one_line(project, capsys, task, values, words):
    with pytest.raises(SystemExit) as caught:
        _call(task, **values)
    assert caught.value.code in (1, 2)
    said = capsys.readouterr().err.strip().splitlines()
    assert words in said[-1]
    assert said[-1].startswith("error: ")
