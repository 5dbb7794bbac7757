"""A custom model after the network: its embedding's nearest neighbours vote.

The table is data: two .npy files with digests, no code. Sums are taken one dimension
after the other in float64, so that every implementation finds the same bits, and with
them the same neighbours: Kotlin's loop in NearestNeighbours.kt does the same.
"""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import ContractError

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRICS = ("cosine", "euclidean")
# A table is held in memory and compared row by row for each picture.
MAX_TABLE_BYTES = 256 * 1024 * 1024
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(?P<length>..)\{'descr': '(?P<dtype><[fi]4)', "
    rb"'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9]{1,9},( ?[0-9]{1,9})?)\), \} *\n",
    re.DOTALL,
)


class NeighbourError(ContractError):
    """A table of embeddings is damaged, or does not fit the network."""


class NeighbourTable:
    """Embeddings with their classes, and how to ask them.

    Args:
        vectors: Embeddings, shape (rows, dimensions), float32, finite.
        classes: Class index of each row, shape (rows,), int32.
        metric: "cosine" (larger is nearer; a vector of zeros is at 0 from all) or
            "euclidean".
        k: Neighbours that vote, 1 to rows.
        labels: Number of classes; indices lie below.

    Attributes:
        dimensions: Values of an embedding.
        rows: Embeddings in the table.

    Raises:
        NeighbourError: If these do not fit together.
    """

    def __init__(
        self,
        vectors: NDArray[Any],
        classes: NDArray[Any],
        *,
        metric: str,
        k: int,
        labels: int,
    ) -> None:
        if vectors.ndim != 2 or vectors.dtype != np.float32 or 0 in vectors.shape:
            raise NeighbourError(
                "vectors must be float32 of shape (rows, dimensions); received "
                f"{vectors.dtype} of shape {vectors.shape}"
            )
        if classes.shape != vectors.shape[:1] or classes.dtype != np.int32:
            raise NeighbourError(
                f"classes must be int32 of shape ({len(vectors)},); received "
                f"{classes.dtype} of shape {classes.shape}"
            )
        if not np.isfinite(vectors).all():
            raise NeighbourError("vectors hold values that are no finite numbers")
        if classes.min() < 0 or classes.max() >= labels:
            raise NeighbourError(
                f"classes must be 0 to {labels - 1}; they are {classes.min()} to "
                f"{classes.max()}"
            )
        if metric not in METRICS:
            raise NeighbourError(
                f"metric must be {' or '.join(METRICS)}; received {metric!r}"
            )
        if type(k) is not int or not 1 <= k <= len(vectors):
            raise NeighbourError(
                f"k must be 1 to the table's {len(vectors)} rows; received {k!r}"
            )
        self._columns = np.ascontiguousarray(vectors.T.astype(np.float64))
        self._classes, self._metric, self._k = classes, metric, k
        self._labels = labels
        self.dimensions, self.rows = vectors.shape[1], vectors.shape[0]

    def scores(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """Let the nearest neighbours of each embedding vote.

        Args:
            embeddings: Shape (batch, dimensions), real values.

        Returns:
            Shape (batch, classes), float32: each class's share of the k votes. Of rows
            that are equally near, the first ones count.

        Raises:
            NeighbourError: If the embeddings have another number of values.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimensions:
            raise NeighbourError(
                f"the table holds embeddings of {self.dimensions} values; the network "
                f"gives {embeddings.shape}"
            )
        votes = np.zeros((len(embeddings), self._labels), np.float32)
        for row, embedding in enumerate(embeddings.astype(np.float64)):
            distances = self._distances(embedding)
            nearest = np.argsort(distances, kind="stable")[: self._k]
            counts = np.bincount(self._classes[nearest], minlength=self._labels)
            votes[row] = (counts / self._k).astype(np.float32)
        return votes

    def _distances(self, embedding: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give each row's distance, or its similarity with the sign turned."""
        total = np.zeros(self.rows)
        if self._metric == "euclidean":
            for value, column in zip(embedding, self._columns, strict=True):
                difference = value - column
                total += difference * difference
            return total
        own, norms = np.float64(0.0), np.zeros(self.rows)
        for value, column in zip(embedding, self._columns, strict=True):
            total += value * column
            norms += column * column
            own += value * value
        lengths = np.sqrt(own) * np.sqrt(norms)
        similarity = np.zeros(self.rows)
        np.divide(total, lengths, out=similarity, where=lengths > 0)
        return -similarity


def read_table(
    vectors: tuple[Path, str],
    classes: tuple[Path, str],
    *,
    metric: str,
    k: int,
    labels: int,
) -> NeighbourTable:
    """Read a table from its files.

    Args:
        vectors: .npy file and its SHA-256 (hexadecimal).
        classes: The same for the classes.
        metric: One of `METRICS`.
        k: Neighbours that vote.
        labels: Number of classes.

    Raises:
        NeighbourError: If a file is missing, altered, huge or no array.
    """
    return NeighbourTable(
        read_array(*vectors),
        read_array(*classes),
        metric=metric,
        k=k,
        labels=labels,
    )


def read_array(path: Path, sha256: str | None = None) -> NDArray[Any]:
    """Read a .npy file that may come from anywhere.

    Args:
        path: The file.
        sha256: Its expected digest, or None to take what is there.

    Raises:
        NeighbourError: If it is missing, altered, too large or no plain array.
    """
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise NeighbourError(
                f"{path}: larger than the {MAX_TABLE_BYTES >> 20} MiB allowed"
            )
        data = path.read_bytes()
    except OSError as error:
        raise NeighbourError(f"{path}: cannot be read ({error.strerror})") from error
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise NeighbourError(
            f"{path}: expected sha256 {sha256}, found {found}; install the bundle again"
        )
    return _parse(path, data)


def _parse(path: Path, data: bytes) -> NDArray[Any]:
    """Read the .npy format, version 1.0, of NumPy's format specification.

    NumPy's own reader takes more than that, pickled code among it.
    """
    header = _HEADER.match(data)
    if header is None:
        raise NeighbourError(
            f"{path}: expected a .npy file of little-endian float32 or int32, in C "
            "order, with one or two dimensions; write it with numpy.save"
        )
    shape = tuple(int(size) for size in re.findall(rb"[0-9]+", header["shape"]))
    dtype = np.dtype(header["dtype"].decode())
    first = 10 + int.from_bytes(header["length"], "little")
    expected = math.prod(shape) * dtype.itemsize
    if header.end() != first or len(data) - first != expected:
        raise NeighbourError(
            f"{path}: its header promises {expected} bytes of shape {shape}; found "
            f"{max(0, len(data) - first)}"
        )
    # A copy, in this machine's byte order.
    return np.frombuffer(data, dtype, offset=first).reshape(shape).astype(dtype.type)
