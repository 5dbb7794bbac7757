"""The bundle that trains on a Raspberry Pi, or on any Linux with a LiteRT runtime."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import edgedeploy.ondevice
from edgedeploy.formats.tar import TarEntry, write_tar_gz
from edgedeploy.resources import resource_folder
from edgedeploy.workspace import make_folder, write_bytes

SUMS = "SHA256SUMS"
_RELATIVE_IMPORT = re.compile(r"^\s*from \.(\w+) import", re.MULTILINE)
_LAUNCHER = """\
#!/bin/sh
# Trains on this device. PYTHON names the interpreter of another environment.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
PYTHONPATH=$here exec "${PYTHON:-python3}" -m ondevice.train "$@"
"""
_REQUIREMENTS = "ai-edge-litert>=2.3,<3\nnumpy>=1.26\npillow>=10.4\n"
_README = """\
A model that learns on this device.

1. An environment, once (or take that of an installed edgedeploy bundle):
       python3 -m venv env && env/bin/pip install -r requirements.txt
2. Examples: a folder with train and test, each with one folder of pictures a class;
   or idx files with MNIST's names.
3. Train:     PYTHON=env/bin/python ./train.sh --data FOLDER
   Measure:   PYTHON=env/bin/python ./train.sh --data FOLDER --evaluate

What is learnt is in the file "checkpoint", with the state before it in
"checkpoint.previous". A training that was killed goes on where its last checkpoint
stood. Pictures are read where they are; neither they nor anything made from them but
the weights is stored, and nothing is sent anywhere.
"""


def write_training_bundle(path: Path, *, name: str, model: Path, facts: Path) -> None:
    """Write an archive with the model, the loop and how to run it.

    Args:
        path: Where to; the same inputs give the same bytes.
        name: The model's name, of the folder in the archive.
        model: The file that learns.
        facts: Its training.json.

    Raises:
        PackageError: If a part cannot be read, or the archive not be written.
    """
    code = Path(edgedeploy.ondevice.__file__).parent
    files: dict[str, bytes] = {
        "model.tflite": model.read_bytes(),
        "training.json": facts.read_bytes(),
        "train.sh": _LAUNCHER.encode(),
        "requirements.txt": _REQUIREMENTS.encode(),
        "README.txt": _README.encode(),
    }
    for module in _needed_modules(code, "train"):
        files[f"ondevice/{module}.py"] = (code / f"{module}.py").read_bytes()
    sums = (f"{hashlib.sha256(files[key]).hexdigest()}  {key}" for key in sorted(files))
    files[SUMS] = ("\n".join(sums) + "\n").encode()
    make_folder(path.parent)
    top = f"{name}-training"
    write_tar_gz(
        path,
        [
            TarEntry(name=f"{top}/{key}", source=data, executable=key == "train.sh")
            for key, data in files.items()
        ],
    )


def write_android_training(folder: Path, *, model: Path, facts: Path) -> None:
    """Write what an app takes over: the model among its assets, and the loop in Kotlin.

    Args:
        folder: Where to; `assets/` and `kotlin/edgedeploy/` appear in it.
        model: The file that learns; store it uncompressed in the APK.
        facts: Its training.json.

    Raises:
        WorkspaceError: If the folder cannot be written.
    """
    sources = resource_folder("android_assets") / "kotlin_training"
    files = {folder / "assets" / path.name: path for path in (model, facts)}
    for path in sorted(sources.rglob("*.kt")):
        files[folder / "kotlin" / "edgedeploy" / path.name] = path
    for target, source in files.items():
        make_folder(target.parent)
        write_bytes(target, source.read_bytes())


def _needed_modules(folder: Path, program: str) -> list[str]:
    """Name what a program of `ondevice` imports, and what that imports in turn."""
    found = {"__init__"}
    waiting = [program]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            text = (folder / f"{module}.py").read_text("utf-8")
            waiting += _RELATIVE_IMPORT.findall(text)
    return sorted(found)
