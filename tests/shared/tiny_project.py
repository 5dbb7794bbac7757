"""A model so small that whole builds of it are tests, and a way to run them.

The network's weights are worked out by hand: it averages the colours of a picture and
names the dominant one, so every answer is known beforehand. The Raspberry Pi bundle is
filled through the real pip, from wheels of a few bytes in a local folder.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from kept import made_once

ROOT = Path(__file__).resolve().parents[2]
MODEL = "tiny"
NETWORK = "tiny.keras"
LABELS = ("red", "green", "blue", "grey")
_PER_CLASS = 12
_SEED = 20
_BASES = {
    "red": (200, 60, 60),
    "green": (60, 200, 60),
    "blue": (60, 60, 200),
    "grey": (128, 128, 128),
}
TOML = """\
schema = 1
name = "tiny"
title = "Tiny colours"
architecture = "keras_file"

[[weights]]
name = "colours"
summary = "four colours"
layout = "keras"
labels = "labels.txt"
label_set = "colours"

[weights.source]
kind = "file"
path = "tiny.keras"

[weights.pipeline]
width = 32
height = 32

[weights.licence]
spdx = "Apache-2.0"
holder = "The edgedeploy authors"
notice = "Weights worked out by hand."
text = "licence.txt"
homepage = "https://www.apache.org/licenses/LICENSE-2.0"
"""
_TAGS = {
    "ai_edge_litert": ("2.3.0", "manylinux_2_27"),
    "numpy": ("1.26.4", "manylinux_2_17"),
    "pillow": ("11.0.0", "manylinux_2_28"),
}


@dataclass(kw_only=True)
class Project:
    """A user's folder: model, pictures, and where the cache and the keys are.

    Attributes:
        root: Where the commands run.
        home: Cache, keys and wheels; shared by several projects.
        environment: Variables on top of the usual ones.
    """

    root: Path
    home: Path
    environment: dict = field(default_factory=dict)

    @property
    def folder(self):
        return self.root / "build" / MODEL

    @property
    def lock(self):
        return self.root / "edgedeploy.lock"

    @property
    def apk(self):
        return self.folder / "android" / f"{MODEL}-assets.apk"

    def bundle(self, python="3.11"):
        return self.folder / "pi" / f"{MODEL}-pi-{python}-aarch64.tar.gz"

    def read(self, name):
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def variables(self, **extra):
        """Nothing of the tester's own settings reaches the command."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            # The checkout that these tests belong to, installed or not.
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "80",
            "EDGEDEPLOY_CACHE": str(self.home / "cache"),
            "EDGEDEPLOY_KEYS": str(self.home / "keys"),
            "MPLCONFIGDIR": str(self.home / "matplotlib"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.home / "wheels"),
            **self.environment,
            **extra,
        }

    def command(self, task, *flags):
        return [sys.executable, "-m", "edgedeploy", task, *flags]

    def start(self, task, *flags, **extra):
        """Begin a command in a session of its own, so that signals reach only it."""
        return subprocess.Popen(
            self.command(task, *flags),
            cwd=self.root,
            env=self.variables(**extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, task, *flags, **extra):
        return subprocess.run(
            self.command(task, *flags),
            cwd=self.root,
            env=self.variables(**extra),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def build(self, *flags, **extra):
        """Build the tiny model from its own pictures."""
        return self.run("build", *standard(flags), **extra)

    def ran(self, *flags, **extra):
        """Build, and give the steps that ran."""
        done = self.build("--json", *flags, **extra)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["ran"]

    def copy(self, root):
        """Copy everything, build folder included, times kept."""
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root=root, home=self.home, environment=dict(self.environment))


# Two recipes and one Python keep a build short; others are asked for where they matter.
STANDARD = {
    "--model": "tiny.toml",
    "--images": "pictures",
    "--recipes": "int8",
    "--python": "3.11",
}


def standard(flags):
    """Put the usual flags before the given ones, which take their place."""
    usual = [(name, value) for name, value in STANDARD.items() if name not in flags]
    # So few pictures decide no interval.
    return [word for pair in usual for word in pair] + ["--point-estimate", *flags]


def new_project(root, home=None):
    """Write model, labels, licence, pictures and wheels into empty folders."""
    root.mkdir(parents=True, exist_ok=True)
    home = home or root.with_name(f"{root.name}-home")
    write_wheels(home / "wheels")
    (root / "tiny.toml").write_text(TOML, encoding="utf-8")
    (root / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    (root / "licence.txt").write_text("As you like.\n", encoding="utf-8")
    (root / NETWORK).write_bytes(network())
    write_pictures(root / "pictures")
    return Project(root=root, home=home)


def write_pictures(folder, per_class=_PER_CLASS, seed=_SEED, labels=LABELS):
    """Write noise around one colour a class, of several sizes."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(seed)
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            size = (36 + number, 60 - number, 3)
            noise = random.integers(-50, 51, size)
            pixels = np.clip(np.array(_BASES[label]) + noise, 0, 255)
            picture = Image.fromarray(pixels.astype(np.uint8))
            picture.save(folder / label / f"{number:02}.png")


def write_wheels(folder):
    """Write wheels with the right names and nothing but their metadata inside."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (version, platform) in _TAGS.items():
        for python in ("cp311", "cp313"):
            newer = "2.1.3" if (name, python) == ("numpy", "cp313") else version
            path = folder / f"{name}-{newer}-{python}-{python}-{platform}_aarch64.whl"
            path.write_bytes(_wheel(name, newer, python))


def _wheel(name, version, python):
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"# {python}\n",
        f"{info}/METADATA": (
            f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
            "License-Expression: MIT\n"
        ),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
        f"{info}/licenses/LICENSE": "MIT\n",
        f"{info}/RECORD": "",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return buffer.getvalue()


def network():
    """The bytes of tiny.keras; Keras puts the time into them, so they are made once."""
    made = made_once("tiny-network", lambda folder: write_network(folder / NETWORK))
    return (made / NETWORK).read_bytes()


def write_other_network(path):
    """Write the network with other weights, which still answer the same."""
    write_network(path, sharpness=13.0)


def write_network(path, sharpness=12.0):
    """Average the colours, then weigh each against the other two; grey is the rest."""
    import keras
    import numpy as np

    random = np.random.default_rng(_SEED)
    inputs = keras.Input((32, 32, 3), name="image")
    kernels = []
    for channels in (3, 8):
        kernel = random.normal(0, 0.02, (3, 3, channels, 8))
        for colour in range(3):
            kernel[..., colour] = 0
            kernel[:, :, colour, colour] = 1 / 9
        kernels.append(kernel)
    values = inputs
    for _ in kernels:
        convolution = keras.layers.Conv2D(8, 3, strides=2, activation="relu")
        values = convolution(values)
    values = keras.layers.GlobalAveragePooling2D()(values)
    outputs = keras.layers.Dense(4, activation="softmax")(values)
    model = keras.Model(inputs, outputs)
    dense = np.zeros((8, 4))
    dense[:3, :3] = -sharpness / 2
    np.fill_diagonal(dense[:3, :3], sharpness)
    first, second = kernels
    zeros = np.zeros(8)
    bias = np.array([0, 0, 0, 2.0])
    model.set_weights([first, zeros, second, zeros, dense, bias])
    model.save(path)
