"""Keras' legacy .h5 weights: one group a layer, matched by order and shape.

Layout: the attribute `layer_names` of the root (of `model_weights` in a file that
holds a whole model) lists one group a layer; the attribute `weight_names` of each
group lists its datasets, trainable first.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import WeightsError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load_in_layer_order(model: Any, path: Path) -> None:
    """Load weights by the order of the layers, since their names differ by version.

    Args:
        model: A keras.Model.
        path: The .h5 file.

    Raises:
        WeightsError: If the file is damaged or has other layers or shapes.
    """
    layers = [layer for layer in model.layers if layer.weights]
    groups = _read_groups(path)
    if len(groups) != len(layers):
        raise WeightsError(
            f"{path.name} has weights for {len(groups)} layers; {model.name} has "
            f"{len(layers)} with weights"
        )
    # All shapes are compared before any is assigned.
    for layer, (name, arrays) in zip(layers, groups, strict=True):
        wanted = [tuple(weight.shape) for weight in layer.weights]
        found = [array.shape for array in arrays]
        if wanted != found:
            raise WeightsError(
                f"{path.name}: layer {name} should have the shapes {wanted} of "
                f"{layer.name}, found {found}"
            )
    for layer, (_, arrays) in zip(layers, groups, strict=True):
        layer.set_weights(arrays)


def _read_groups(path: Path) -> list[tuple[str, list[NDArray[Any]]]]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            groups = []
            for name in _read_names(root, "layer_names"):
                group = root[name]
                datasets = _read_names(group, "weight_names")
                if datasets:
                    arrays = [_read_array(group[key]) for key in datasets]
                    groups.append((name, arrays))
            return groups
    except (
        OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError,
    ) as error:  # fmt: skip
        raise WeightsError(
            f"{path.name} is no .h5 file of Keras weights in the legacy layout: {error}"
        ) from error


def _read_names(group: Any, attribute: str) -> list[str]:
    names = group.attrs[attribute]
    return [n.decode() if isinstance(n, bytes) else str(n) for n in names]


def _read_array(dataset: Any) -> NDArray[Any]:
    # Keras stores plain blocks: an external or packed one could be a bomb.
    if dataset.external or dataset.is_virtual or dataset.compression is not None:
        raise ValueError(f"dataset {dataset.name} is not stored plainly")
    if dataset.dtype.kind != "f" or dataset.id.get_storage_size() < dataset.nbytes:
        raise ValueError(f"dataset {dataset.name} is not {dataset.shape} numbers")
    array: NDArray[Any] = dataset[()].astype("float32")
    return array
