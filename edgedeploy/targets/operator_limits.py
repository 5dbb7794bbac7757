"""Which of a bundle's operators a device's runtime is too old for.

A runtime refuses a file with an operator of a version that it does not have, so what
it has was found by trial: a model with one more operator code, version by version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from edgedeploy.formats.tflite import OperatorInfo, summarize


def find_newer(
    files: Mapping[str, Path | bytes], newest: Mapping[str, int]
) -> Iterator[tuple[str, OperatorInfo, int]]:
    """Find the operators of models that are too new for a runtime.

    Args:
        files: A bundle's, by name; those that end in .tflite are looked at.
        newest: The runtime's newest version of each operator, 0 where it lacks it;
            those that are not named are as new there as anywhere.

    Yields:
        The file, the operator, and the newest version that the runtime has.

    Raises:
        FormatError: If a file is no readable .tflite model.
    """
    for name, source in files.items():
        if not name.endswith(".tflite"):
            continue
        for operator in summarize(source).operators:
            known = newest.get(operator.name, operator.version)
            if operator.version > known and not operator.custom:
                yield name, operator, known
