"""A whole network in a .keras or .h5 file: the user's own."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgedeploy.architectures.keras_h5 import check_datasets, check_h5
from edgedeploy.errors import WeightsError

KERAS, H5 = "keras", "h5"
LAYOUTS = (KERAS, H5, f"{KERAS}+trusted", f"{H5}+trusted")
_SUFFIXES = {KERAS: (".keras",), H5: (".h5", ".hdf5")}
# A .tflite file holds at most 2 GiB, so weights of more are a mistake or a bomb.
MAX_BYTES = 2 * 1024**3
# RuntimeError is an encrypted member's, and its child an unknown compression's.
_NO_ARCHIVE = (
    OSError,
    zipfile.BadZipFile,
    ValueError,
    EOFError,
    zlib.error,
    RuntimeError,
)


def build(weights: Path, layout: str) -> Any:
    """Load a network in safe mode, so that no code in the file runs.

    Args:
        weights: The file.
        layout: "keras" or "h5"; with "+trusted" behind it, Lambda layers run.

    Returns:
        A keras.Model with one input and one output.

    Raises:
        WeightsError: If it cannot be loaded, or has other inputs and outputs.
    """
    import keras

    kind, _, trusted = layout.partition("+")
    suffixes = _SUFFIXES[kind]
    if weights.suffix.lower() not in suffixes:
        raise WeightsError(
            f"{weights}: expected a file whose name ends in {' or '.join(suffixes)}"
        )
    if kind == H5:
        check_h5(weights, trusted=bool(trusted), most=MAX_BYTES)
    else:
        _check_archive(weights)
    try:
        with _in_lower_case(weights) as path:
            model = keras.saving.load_model(path, compile=False, safe_mode=not trusted)
    except Exception as error:  # Keras raises whatever its layers raise.
        raise WeightsError(_cannot_load(weights, kind, str(error), trusted)) from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise WeightsError(
            f"{weights}: expected one input and one output; found "
            f"{len(model.inputs)} and {len(model.outputs)}"
        )
    return model


@contextmanager
def _in_lower_case(weights: Path) -> Iterator[Path]:
    """Give a path with the suffix as Keras spells it, which tells the format by it."""
    if weights.suffix == weights.suffix.lower():
        yield weights
        return
    with tempfile.TemporaryDirectory(prefix="edgedeploy-keras-") as folder:
        link = Path(folder) / f"model{weights.suffix.lower()}"
        link.symlink_to(weights.resolve())
        yield link


def _cannot_load(weights: Path, kind: str, reason: str, trusted: str) -> str:
    first = (reason.strip().splitlines() or ["no reason given"])[0][:200]
    way = (
        "; with the Keras that wrote it, save a SavedModel (model.export, or "
        "tf.saved_model.save) and give that folder"
        if kind == H5
        else ""
    )
    if "ambda" in reason and not trusted:
        way = "; --trust lets its code run, if you know who wrote it"
    mode = "" if trusted else " in safe mode"
    return f"{weights}: Keras cannot load it{mode} ({first}){way}"


def _check_archive(weights: Path) -> None:
    """Refuse all that is not a .keras archive of a plausible size.

    Keras would read an HDF5 file, a folder or an address under the same call.
    """
    try:
        with zipfile.ZipFile(weights) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > MAX_BYTES:
                raise WeightsError(
                    f"{weights}: unpacks to {size} bytes, over the limit of {MAX_BYTES}"
                )
            _check_members(weights, archive)
    except _NO_ARCHIVE as error:
        raise WeightsError(
            f"{weights}: not a .keras file ({error}); save it with model.save"
        ) from error


def _check_members(weights: Path, archive: zipfile.ZipFile) -> None:
    """Look at the numbers too: not every Keras refuses those of another file."""
    for member in archive.namelist():
        if not member.endswith(".h5"):
            continue
        # HDF5 goes back and forth, which is slow in a compressed member.
        with archive.open(member) as packed, tempfile.TemporaryFile() as stored:
            shutil.copyfileobj(packed, stored)
            check_datasets(weights, stored, most=MAX_BYTES)
