"""Look into a model file, whatever kind it is of; runs in a child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgedeploy.adopt.look_keras import look_keras
from edgedeploy.adopt.look_tflite import look_tflite
from edgedeploy.architectures import GRAPHS, TFLITE
from edgedeploy.convert.graphs import graph_of
from edgedeploy.errors import InputError, WeightsError
from edgedeploy.isolate import Progress


def look(
    *, progress: Progress, path: str, architecture: str, layout: str, sha256: str
) -> dict[str, Any]:
    """Say what a model file says of itself.

    Args:
        progress: Not told anything: most of the time goes to one conversion.
        path: The file or folder.
        architecture: How it is read.
        layout: How it is organised; "" where the file tells.
        sha256: Its digest (hexadecimal).

    Returns:
        A `Found`, as JSON values.

    Raises:
        ConversionError: If it cannot be converted.
        InputError: If it cannot be loaded, or is no classifier of RGB pictures.
    """
    del progress
    if architecture not in GRAPHS:
        try:
            return look_keras(Path(path), architecture, layout).to_dict()
        except WeightsError as error:
            # The file is what the user gave.
            raise InputError(str(error)) from error
    graph = graph_of(architecture, Path(path), sha256)
    found = look_tflite(graph.path).to_dict()
    # The converted file's own layout says nothing of the one that was given.
    return (
        found
        if architecture == TFLITE
        else {**found, "layout": layout.partition("+")[0]}
    )
