"""Labelled pictures to learn from: idx files, or a folder for each class.

The idx format is that of MNIST's own files: two zero bytes, a type, the number of
dimensions, each size as a big-endian 32-bit number, and the numbers.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from .contract import ContractError
from .learner import Examples

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UINT8 = 8
_LARGEST_BYTES = 1 << 31
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")


class TrainingDataError(ContractError):
    """Examples cannot be read."""


def read_examples(folder: Path, input_shape: tuple[int, ...]) -> dict[str, Examples]:
    """Read a folder of examples.

    Args:
        folder: With train and t10k or test idx files (MNIST's names, .gz or not); or
            with the folders train and test, each with one folder of pictures a class,
            which are numbered in the order of their names.
        input_shape: Of one row, (height, width, channels); pictures are cropped to
            the largest centred part of that aspect ratio and resized.

    Returns:
        {"train": …, "test": …}.

    Raises:
        TrainingDataError: If it is no such folder, or what it holds does not fit.
    """
    if not folder.is_dir():
        raise TrainingDataError(f"{folder}: no such folder of examples")
    if (folder / "train").is_dir():
        return _read_folders(folder, input_shape)
    found = {}
    for part, names in {"train": ("train",), "test": ("t10k", "test")}.items():
        pictures = _find(folder, [f"{name}-images" for name in names])
        labels = _find(folder, [f"{name}-labels" for name in names])
        x, y = read_idx(pictures), read_idx(labels)
        if x.shape[0] != y.shape[0] or y.ndim != 1:
            raise TrainingDataError(
                f"{folder}: {pictures.name} has {x.shape[0]} rows, but {labels.name} "
                f"is {y.shape}"
            )
        if prod(x.shape[1:]) != prod(input_shape):
            raise TrainingDataError(
                f"{pictures}: has rows of {x.shape[1:]}; the model takes {input_shape}"
            )
        found[part] = Examples(x=x.reshape(len(x), *input_shape), labels=y)
    return found


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an idx file of bytes, gzipped or not.

    Args:
        path: The file.

    Returns:
        The array, uint8.

    Raises:
        TrainingDataError: If it is damaged, too large or of other numbers.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                data = file.read(_LARGEST_BYTES + 1)
        else:
            with path.open("rb") as plain:
                data = plain.read(_LARGEST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TrainingDataError(f"{path}: cannot be read ({error})") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UINT8:
        raise TrainingDataError(f"{path}: no idx file of 8-bit numbers")
    rank = data[3]
    head = 4 + 4 * rank
    if len(data) < head:
        raise TrainingDataError(f"{path}: ends inside its header")
    shape = struct.unpack(f">{rank}I", data[4:head])
    if len(data) - head != prod(shape):
        raise TrainingDataError(
            f"{path}: promises {prod(shape)} numbers; has {len(data) - head}"
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def class_names(folder: Path) -> list[str]:
    """Names of the classes of a folder with one folder a class, in their order."""
    train = folder / "train"
    if not train.is_dir():
        return []
    return sorted(entry.name for entry in train.iterdir() if entry.is_dir())


def _read_folders(folder: Path, input_shape: tuple[int, ...]) -> dict[str, Examples]:
    if len(input_shape) != 3 or input_shape[2] not in (1, 3):
        raise TrainingDataError(
            f"{folder}: pictures need a model of (height, width, 1 or 3); this one "
            f"takes {input_shape}"
        )
    names = class_names(folder)
    found = {}
    for part in ("train", "test"):
        rows, labels = [], []
        for label, name in enumerate(names):
            inside = folder / part / name
            for path in sorted(inside.iterdir()) if inside.is_dir() else ():
                if path.suffix.lower() in _SUFFIXES:
                    rows.append(_read_picture(path, input_shape))
                    labels.append(label)
        if not rows:
            raise TrainingDataError(
                f"{folder / part}: no pictures in folders named after the classes"
            )
        found[part] = Examples(x=np.stack(rows), labels=np.array(labels, np.int64))
    return found


def _read_picture(path: Path, input_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    height, width, channels = input_shape
    try:
        with Image.open(path) as opened:
            upright: Any = ImageOps.exif_transpose(opened)
            coloured = upright.convert("RGB" if channels == 3 else "L")
            fitted = ImageOps.fit(coloured, (width, height), Image.Resampling.BILINEAR)
    # Pillow raises a dozen types on damaged pictures.
    except (OSError, ValueError, SyntaxError, MemoryError,
            Image.DecompressionBombError, struct.error, zlib.error,
            OverflowError) as error:  # fmt: skip
        raise TrainingDataError(
            f"{path}: not a readable picture ({error}); remove it"
        ) from error
    return np.asarray(fitted, np.uint8).reshape(input_shape)


def _find(folder: Path, starts: list[str]) -> Path:
    for start in starts:
        for path in sorted(folder.glob(f"{start}*")):
            return path
    raise TrainingDataError(
        f"{folder}: has neither a folder train with one folder a class, nor idx files "
        f"such as {starts[0]}-idx3-ubyte.gz"
    )
