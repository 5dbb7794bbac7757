"""Published examples, read without trusting them."""

from __future__ import annotations

import gzip
import io
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgedeploy.errors import WeightsError
from edgedeploy.ondevice.learner import Examples

# MNIST as float32 is 220 MB.
_LARGEST_BYTES = 300_000_000
# All that a pickle of numeric arrays calls for; nothing else is ever imported.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        if name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        return getattr(np, name)


def read_mnist_pickle(path: Path) -> dict[str, Examples]:
    """Read MNIST from a gzipped pickle of (train, validation, test).

    Args:
        path: The file; its digest has been checked.

    Returns:
        {"train": 60,000 rows, "test": 10,000 rows}; x is (rows, 28, 28, 1), uint8.

    Raises:
        WeightsError: If it is damaged, or holds anything but such arrays.
    """
    try:
        with gzip.open(path) as file:
            data = file.read(_LARGEST_BYTES + 1)
        if len(data) > _LARGEST_BYTES:
            raise WeightsError(f"{path.name} unpacks to over {_LARGEST_BYTES} bytes")
        # The file is Python 2's, whose strings hold the arrays' bytes.
        parts = _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
        del data
        train, more, test = (_read_part(part) for part in parts)
    except (OSError, EOFError, zlib.error, pickle.UnpicklingError, ValueError,
            TypeError, KeyError, IndexError, AttributeError, MemoryError,
            ImportError, RecursionError, OverflowError) as error:  # fmt: skip
        raise WeightsError(
            f"{path.name} is no pickle of MNIST's arrays ({error})"
        ) from error
    joined = Examples(
        x=np.concatenate([train.x, more.x]),
        labels=np.concatenate([train.labels, more.labels]),
    )
    return {"train": joined, "test": test}


def _read_part(part: Any) -> Examples:
    x, labels = part
    if x.dtype != np.float32 or x.ndim != 2 or x.shape[1] != 784:
        raise ValueError(f"pictures of {x.dtype}, {x.shape}")
    if labels.dtype.kind not in "iu" or labels.shape != x.shape[:1]:
        raise ValueError(f"labels of {labels.dtype}, {labels.shape}")
    pixels = np.rint(x * 255.0)
    if not (pixels.min() >= 0 and pixels.max() <= 255):
        raise ValueError("pictures beyond 0 to 1")
    return Examples(
        x=pixels.astype(np.uint8).reshape(-1, 28, 28, 1),
        labels=labels.astype(np.int64),
    )


READERS: dict[str, Callable[[Path], dict[str, Examples]]] = {
    "mnist_pickle": read_mnist_pickle
}
