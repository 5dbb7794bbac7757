"""A whole network in a .keras file: the user's own."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from edgedeploy.errors import WeightsError

LAYOUTS = ("keras",)
# A .tflite file holds at most 2 GiB, so weights of more are a mistake or a bomb.
MAX_BYTES = 2 * 1024**3


def build(weights: Path, layout: str) -> Any:
    """Load a .keras file in safe mode, so that no code in it runs.

    Args:
        weights: The file.
        layout: "keras".

    Returns:
        A keras.Model with one image input and one output of probabilities.

    Raises:
        WeightsError: If it cannot be loaded, or has other inputs and outputs.
    """
    import keras

    del layout
    _check_archive(weights)
    try:
        model = keras.saving.load_model(weights, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its layers raise.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(
            f"{weights}: Keras cannot load it in safe mode ({lines[0][:200]})"
        ) from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise WeightsError(
            f"{weights}: expected one input and one output; found "
            f"{len(model.inputs)} and {len(model.outputs)}"
        )
    return model


def _check_archive(weights: Path) -> None:
    """Refuse all that is not a .keras archive of a plausible size.

    Keras would read an HDF5 file, a folder or an address under the same call, and
    safe mode was made for .keras archives alone.
    """
    if weights.suffix != ".keras":
        raise WeightsError(f"{weights}: expected a file whose name ends in .keras")
    try:
        with zipfile.ZipFile(weights) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise WeightsError(
            f"{weights}: not a .keras file ({error}); save it with model.save"
        ) from error
    if size > MAX_BYTES:
        raise WeightsError(
            f"{weights}: unpacks to {size} bytes, over the limit of {MAX_BYTES}"
        )
