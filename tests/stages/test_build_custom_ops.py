"""Whole builds of a network with an operator of its own, and of one with neighbours."""

import json
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NETWORK = """
import sys
import keras

def top_k_pooling(shape, k):
    x = keras.Input(shape)
    height, width, channels = shape
    rows = keras.layers.Reshape((height * width, channels))(x)
    best = keras.ops.top_k(keras.layers.Permute((2, 1))(rows), k)[0]
    return keras.Model(x, keras.ops.mean(best, axis=-1), name="top_k_pooling")

normal = keras.initializers.RandomNormal
x = keras.Input((32, 32, 3))
y = keras.layers.Conv2D(8, 3, strides=2, kernel_initializer=normal(0, 0.3, 1))(x)
y = top_k_pooling(y.shape[1:], 4)(y)
if sys.argv[2] == "classes":
    dense = keras.layers.Dense(4, "softmax", kernel_initializer=normal(0, 0.5, 2))
    y = dense(y)
keras.Model(x, y).save(sys.argv[1])
"""
OPERATOR = """\
[[custom_ops]]
name = "EdgedeployTopKPooling"
layer = "top_k_pooling"
source = "edgedeploy:top_k_pooling.c"
options = [4]

[[weights]]"""
TABLE = """\
[weights.neighbours]
vectors = "v.npy"
classes = "c.npy"
metric = "euclidean"
k = 3

[weights.licence]"""


@pytest.fixture
def pooled(project):
    """A project whose network pools the four largest values."""
    if not shutil.which("gcc"):
        pytest.skip("needs a C compiler: apt-get install gcc")

    def make(kind):
        path = project.root / "tiny.keras"
        command = [sys.executable, "-c", NETWORK, str(path), kind]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        toml = project.root / "tiny.toml"
        text = toml.read_text().replace("[[weights]]", OPERATOR, 1)
        if kind == "embedding":
            text = text.replace("[weights.licence]", TABLE, 1)
            random = np.random.default_rng(1)
            vectors = random.normal(size=(20, 8)).astype(np.float32)
            np.save(project.root / "v.npy", vectors)
            classes = (np.arange(20) % 4).astype(np.int32)
            np.save(project.root / "c.npy", classes)
        toml.write_text(text)
        return project

    return make


def packaged(project):
    """Build the Pi bundle; give its names and its contract."""
    done = project.run(
        "package.pi",
        *("--model", "tiny.toml", "--images", "pictures", "--recipes", "int8"),
        *("--python", "3.11", "--kind", "tar", "--max-top1-drop", "1", "--only"),
    )
    assert done.returncode == 0, done.stderr
    with tarfile.open(project.bundle()) as tar:
        top = tar.getnames()[0].partition("/")[0]
        file = tar.extractfile(f"{top}/contract.json")
        names = {name.partition("/")[2] for name in tar.getnames()}
        return done.stdout, names, json.load(file)


def test_operator_goes_from_the_keras_layer_into_the_bundle(pooled):
    project = pooled("classes")
    said, names, contract = packaged(project)
    facts = project.read("variants/int8/variant.json")
    assert facts["operators"]["EdgedeployTopKPooling@1"] == 1
    assert not any(name.startswith("TOPK") for name in facts["operators"])
    (operator,) = contract["operators"]
    assert operator["name"] == "EdgedeployTopKPooling"
    files = {one["file"] for one in operator["libraries"].values()}
    assert files <= names
    # What could not be built is said, and nothing else is left out.
    for abi in ("linux-x86_64", "linux-aarch64", "android-arm64-v8a", "android-x86_64"):
        told = f"not built for {abi}" in " ".join(said.split())
        assert told != (abi in operator["libraries"])
    first = project.bundle().read_bytes()
    shutil.rmtree(project.folder)
    packaged(project)
    assert project.bundle().read_bytes() == first


def test_neighbours_and_an_operator_work_together(pooled):
    _, names, contract = packaged(pooled("embedding"))
    assert contract["neighbours"]["dimensions"] == 8
    assert {"neighbours/vectors.npy", "neighbours/classes.npy"} <= names
    assert contract["classes"] == 4


def test_machine_without_a_compiler_says_what_to_install(pooled):
    project = pooled("classes")
    done = project.run("convert", "--model", "tiny.toml", PATH="/nowhere")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: tiny: its operators")
    assert "apt-get install gcc" in done.stderr
