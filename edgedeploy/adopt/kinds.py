"""What kind of model a path is, told from its name and its first bytes."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.architectures import ONNX, TFLITE, TORCH
from edgedeploy.architectures.saved_model import FILE as SAVED_MODEL
from edgedeploy.catalog import model_names
from edgedeploy.errors import InputError

ACCEPTED = ".toml, .keras, .h5, a SavedModel's folder, .tflite, .onnx, .pt2"
_WAY = (
    "load it in PyTorch and save it with torch.export.save(torch.export.export("
    'model.eval(), (torch.zeros(1, 3, height, width),)), "model.pt2")'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a model file is read.

    Attributes:
        architecture: What the TOML will say.
        layout: The same; "" where the file's contents decide it.
    """

    architecture: str
    layout: str


_KINDS = {
    ".keras": Kind(architecture="keras_file", layout="keras"),
    ".h5": Kind(architecture="keras_file", layout="h5"),
    ".hdf5": Kind(architecture="keras_file", layout="h5"),
    ".tflite": Kind(architecture=TFLITE, layout=""),
    ".onnx": Kind(architecture=ONNX, layout="onnx"),
    ".pt2": Kind(architecture=TORCH, layout="exported_program"),
}
_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")


def is_model_path(text: str) -> bool:
    """Whether a word names a model file, rather than a TOML or a model by name.

    A name of the catalogue comes first: a folder beside it is named with a "/".

    Args:
        text: What --model received.
    """
    path = Path(text)
    if path.suffix == ".toml" or text in model_names():
        return False
    known = path.suffix.lower() in (*_KINDS, *_TORCH_SUFFIXES)
    return known or "/" in text or (path / SAVED_MODEL).is_file()


def kind_of(path: Path) -> Kind:
    """Tell how a model file is read.

    Args:
        path: A file, or a SavedModel's folder.

    Raises:
        InputError: If there is none, or nothing here reads it; what to do instead is
            in the message.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    if path.is_dir():
        if (path / SAVED_MODEL).is_file():
            return Kind(architecture="saved_model", layout="saved_model")
        raise InputError(
            f"{path}: a folder without saved_model.pb is no SavedModel; expected one "
            f"of {ACCEPTED}"
        )
    suffix = path.suffix.lower()
    if suffix in _TORCH_SUFFIXES:
        raise InputError(_torch_refusal(path))
    if suffix not in _KINDS:
        raise InputError(
            f"{path}: expected one of {ACCEPTED}; received {suffix or 'no suffix'}"
        )
    return _KINDS[suffix]


def _torch_refusal(path: Path) -> str:
    """Say what a PyTorch file lacks."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        members = []
    if any("/code/" in member for member in members):
        return (
            f"{path}: TorchScript, which litert-torch does not take; {_WAY} (from the "
            "original network, not from the TorchScript)"
        )
    return (
        f"{path}: weights, or a pickle of a class that only your program has; neither "
        f"holds the network's graph; {_WAY}"
    )
