"""What is looked at in a whole-network .h5 file before Keras may load it.

Layout: Keras' legacy HDF5 format; the network's description is JSON in the attribute
`model_config` of the root, the numbers are in the group `model_weights`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edgedeploy.errors import WeightsError

# Classes that carry Python code in their configuration.
_CODE = frozenset({"Lambda", "TFOpLambda", "SlicingOpLambda", "__lambda__"})
_KERAS_2 = frozenset({"TFOpLambda", "SlicingOpLambda"})


def check_h5(path: Path, *, trusted: bool, most: int) -> None:
    """Refuse a file without a network, with code, or with weights that are elsewhere.

    Safe mode was made for .keras archives, so the description is searched here too.

    Args:
        path: The .h5 file.
        trusted: Whether code may be in it.
        most: Bytes that the weights may take.

    Raises:
        WeightsError: If it must not be loaded; the message says what instead.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
            size = sum(_sizes(file))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path}: not a readable .h5 file ({error})") from error
    if config is None:
        raise WeightsError(
            f"{path} holds weights without their network; save the whole model "
            "(model.save), or build the network and load them first"
        )
    if size > most:
        raise WeightsError(f"{path}: {size} bytes of weights, over the limit of {most}")
    found = _code_classes(_parse(path, config))
    if found & _KERAS_2:
        raise WeightsError(
            f"{path}: its layers {', '.join(sorted(found & _KERAS_2))} are TensorFlow "
            "functions that only Keras 2 can rebuild; with it, save a SavedModel "
            "(tf.saved_model.save) and give that folder"
        )
    if found and not trusted:
        raise WeightsError(
            f"{path}: its layer {', '.join(sorted(found))} carries Python code, which "
            "safe mode does not run; --trust does, if you know who wrote it"
        )


def check_datasets(path: Path, stored: IO[bytes], *, most: int) -> None:
    """Refuse an archive's HDF5 file whose numbers are elsewhere, or are too many.

    Args:
        path: The archive, for messages.
        stored: Its HDF5 file.
        most: Bytes that the numbers may take.

    Raises:
        WeightsError: If it must not be loaded.
    """
    import h5py

    try:
        with h5py.File(stored, "r") as file:
            size = sum(_sizes(file))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path}: its weights are not readable ({error})") from error
    if size > most:
        raise WeightsError(f"{path}: {size} bytes of weights, over the limit of {most}")


def _parse(path: Path, config: Any) -> Any:
    try:
        return json.loads(config)
    except (ValueError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"{path}: its network's description is no JSON ({error})"
        ) from error


def _sizes(group: Any) -> Iterator[int]:
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{name} is a link to elsewhere")  # noqa: TRY004
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _sizes(item)
        elif item.external or item.is_virtual:
            raise ValueError(f"dataset {name} is stored elsewhere")
        else:
            yield item.nbytes


def _code_classes(value: Any) -> set[str]:
    """Names of classes in a configuration that carry code."""
    found, left = set(), [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            found |= {str(item.get("class_name"))} & _CODE
            # A class may also be told by a module's path alone.
            found |= {"Lambda"} if item.get("function_type") == "lambda" else set()
            left += item.values()
        elif isinstance(item, list):
            left += item
    return found
