"""The bundle trains by itself: unpacked, without edgedeploy or TensorFlow in sight."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from edgedeploy.formats.tar import extract_tar_gz
from edgedeploy.training.bundle import write_training_bundle
from edgedeploy.training.export import export_trainable

# A finder that refuses what the device does not have.
_GUARD = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "edgedeploy", "scipy"):
            raise ImportError(f"{name} is not on the device")
sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    from keras import Input, Sequential, layers, utils

    utils.set_random_seed(2)
    net = Sequential(
        [
            Input((8, 8, 3)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "model.tflite").write_bytes(export_trainable(net, batch_size=8).data)
    (folder / "training.json").write_text('{"epochs": 2, "learning_rate": 0.02}')
    for name in ("a.tar.gz", "b.tar.gz"):
        write_training_bundle(
            folder / name, name="own", model=folder / "model.tflite",
            facts=folder / "training.json",
        )  # fmt: skip
    assert (folder / "a.tar.gz").read_bytes() == (folder / "b.tar.gz").read_bytes()
    (folder / "out").mkdir()
    extract_tar_gz(folder / "a.tar.gz", folder / "out")
    return folder / "out" / "own-training"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name, level in (("dark", 40), ("light", 200)):
            inside = folder / part / name
            inside.mkdir(parents=True)
            for i in range(10):
                pixels = rng.integers(level - 30, level + 30, (9, 9, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(inside / f"{i}.png")
    return folder


def _run(unpacked, tmp_path, *words):
    guard = tmp_path / "guard"
    guard.mkdir(exist_ok=True)
    (guard / "sitecustomize.py").write_text(_GUARD)
    environment = {**os.environ, "PYTHONPATH": f"{unpacked}{os.pathsep}{guard}"}
    return subprocess.run(
        [sys.executable, "-m", "ondevice.train", *words],
        capture_output=True, text=True, env=environment, cwd=tmp_path,
    )  # fmt: skip


def test_it_trains_goes_on_and_evaluates(unpacked, data, tmp_path):
    first = _run(unpacked, tmp_path, "--data", str(data), "--json")
    assert first.returncode == 0, first.stderr
    done = json.loads(first.stdout)
    assert [e["epoch"] for e in done["epochs"]] == [1, 2]
    more = _run(unpacked, tmp_path, "--data", str(data), "--json", "--epochs", "4")
    result = json.loads(more.stdout)
    assert result["resumed"]
    assert result["epochs"][:2] == done["epochs"]
    assert len(result["epochs"]) == 4
    last = _run(unpacked, tmp_path, "--data", str(data), "--json", "--evaluate")
    found = json.loads(last.stdout)
    assert found["test_accuracy"] == result["epochs"][-1]["test_accuracy"]


def test_the_checkpoint_carries_no_pictures(unpacked, data, tmp_path):
    assert _run(unpacked, tmp_path, "--data", str(data)).returncode == 0
    with (tmp_path / "checkpoint").open("rb") as file:
        file.readline()
        header = json.loads(file.readline())
        with np.load(file) as arrays:
            names = sorted(arrays.files)
    assert set(header) == {"sha256", "bytes", "model", "progress"}
    # Weights, moving statistics, Adam's two slots and the step: no data.
    assert {name.rstrip("0123456789").rstrip("_") for name in names} <= {
        "w", "b", "s0", "s1", "s", "t",
    }  # fmt: skip


def test_mistakes_are_one_line(unpacked, data, tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"no checkpoint")
    for words, expected in (
        (["--data", "nowhere"], "no such folder"),
        (["--data", str(data)], "no whole checkpoint"),
        (["--data", str(data), "--model", "no.tflite"], "cannot be read"),
        (["--data", str(data), "--learning-rate", "-1"], "learning rate"),
    ):
        answer = _run(unpacked, tmp_path, *words)
        assert answer.returncode == 2
        assert expected in answer.stderr
        assert answer.stderr.count("\n") == 1


def test_every_file_is_in_the_sums(unpacked):
    listed = {}
    for line in (unpacked / "SHA256SUMS").read_text().splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    found = {
        path.relative_to(unpacked).as_posix(): path
        for path in unpacked.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert set(found) == {*listed, "SHA256SUMS"}
    for name, digest in listed.items():
        assert hashlib.sha256(found[name].read_bytes()).hexdigest() == digest
    assert os.access(unpacked / "train.sh", os.X_OK)
