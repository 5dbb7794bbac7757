"""A whole network in a .keras file: the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgedeploy.errors import WeightsError

LAYOUTS = ("keras",)


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
