"""What a worker of a cluster does: the functions that the scheduler hands out.

A worker reads pictures and models by path, from storage that it shares with whoever
asks, and checks each against its SHA-256: what is scored is what was meant, and no
picture passes through the scheduler.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import __version__
from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.node import describe_node
from edgedeploy.evaluate.preparing import find_preparation
from edgedeploy.evaluate.scoring import Scorer
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import PictureError
from edgedeploy.workspace import code_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Variants of a comparison that a thread keeps loaded.
_LOADED = 8
# Digested as it is loaded: a worker may outlive an update of its files.
_CODE = code_digest("evaluate", "ondevice")
_own = threading.local()


class OtherNodeError(EvaluationError):
    """A worker is not of the kind that was asked for; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A model, as a worker finds it.

    Attributes:
        path: The .tflite file.
        sha256: Digest of its bytes.
        pipeline: The contract's fields.
        runtime: A runtime's name.
        neighbours: As `engine.score_pictures` takes them, or None.
        tables: Digests of their two files.
    """

    path: str
    sha256: str
    pipeline: Mapping[str, Any]
    runtime: str
    neighbours: Mapping[str, Any] | None = None
    tables: tuple[str, ...] = ()


@functools.cache
def describe_worker(runtime: str) -> dict[str, str]:
    """Name what decides a worker's bits: its node, and our own code.

    Args:
        runtime: A runtime's name.
    """
    return {
        **describe_node(runtime),
        "edgedeploy": f"{__version__} {_CODE[:16]}",
    }


def describe_network(network: Network) -> dict[str, Any]:
    """Load a model on a worker; give its number of classes and who runs it."""
    scorer = _scorer(network)
    return {
        "classes": scorer.classes,
        "delegate": scorer.delegate,
        "fallback": scorer.fallback,
    }


def decode_block(
    pictures: Sequence[tuple[int, str, str]],
    pipeline: Mapping[str, Any],
    preparation: str,
    node: Mapping[str, str],
) -> dict[int, NDArray[np.uint8] | str]:
    """Decode pictures once for all variants.

    Args:
        pictures: Row, path and SHA-256 of each.
        pipeline: The contract's fields.
        preparation: A name of `preparing.PREPARATIONS`.
        node: What this worker has to be, as `describe_worker` says.

    Returns:
        By row: uint8 RGB of the contract's size, or why it cannot be decoded.

    Raises:
        OtherNodeError: If this worker is another.
        EvaluationError: If a picture is not there, or is another one.
    """
    _check_node(node)
    contract = ImagePipeline.from_dict(pipeline)
    prepare = find_preparation(preparation)
    found: dict[int, NDArray[np.uint8] | str] = {}
    for row, path, sha256 in pictures:
        data = _read(path, sha256)
        try:
            found[row] = prepare(data, contract)
        except PictureError as error:
            # Bytes have no name; the reason shall read as it does on one machine.
            found[row] = str(error).replace("picture:", f"{path}:", 1)
    return found


def score_block(
    network: Network,
    decoded: Mapping[int, NDArray[np.uint8] | str],
    rows: Sequence[int],
    node: Mapping[str, str],
) -> dict[int, bytes | str]:
    """Score decoded pictures with one variant.

    Args:
        network: The variant.
        decoded: What `decode_block` gave.
        rows: Which of them to score.
        node: What this worker has to be, as `describe_worker` says.

    Returns:
        By row: little-endian float32 scores, or why the picture was skipped.

    Raises:
        OtherNodeError: If this worker is another.
        EvaluationError: If the model cannot be loaded, or answers what is no number.
    """
    _check_node(node)
    scorer = _scorer(network)
    found: dict[int, bytes | str] = {}
    for row in rows:
        picture = decoded[row]
        if isinstance(picture, str):
            found[row] = picture
        else:
            scores = scorer.score(picture, f"picture number {row}")
            found[row] = scores.astype("<f4", copy=False).tobytes()
    return found


def name_differences(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Say in what two nodes differ, such as "numpy 2.1.0 instead of 2.3.0"."""
    return ", ".join(
        f"{key} {found.get(key, 'unknown')} instead of {value}"
        for key, value in expected.items()
        if found.get(key) != value
    )


def _check_node(node: Mapping[str, str]) -> None:
    """Refuse to work where the bits would be others: who came late was not asked."""
    own = describe_worker(node["runtime"].partition(" ")[0])
    if own != node:
        raise OtherNodeError(f"this worker differs: {name_differences(node, own)}")


def _scorer(network: Network) -> Scorer:
    """Take a model that this thread has loaded, or load it."""
    loaded: dict[str, Scorer] = _own.__dict__.setdefault("loaded", {})
    key = repr((network.sha256, network.pipeline, network.runtime, network.neighbours))
    if key not in loaded:
        while len(loaded) >= _LOADED:
            del loaded[next(iter(loaded))]
        neighbours = network.neighbours
        if neighbours:
            files = (neighbours["vectors"], neighbours["classes"])
            for path, sha256 in zip(files, network.tables, strict=True):
                _read(path, sha256)
        loaded[key] = Scorer(
            _read(network.path, network.sha256),
            pipeline=ImagePipeline.from_dict(network.pipeline),
            runtime=network.runtime,
            neighbours=neighbours,
            name=network.path,
        )
    return loaded[key]


def _read(path: str, sha256: str) -> bytes:
    """Read a file of the shared storage, and hold it against its digest."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise EvaluationError(
            f"{path}: a worker cannot read it ({error.strerror}); pictures and models "
            "have to be at the same path on every worker, as on shared storage"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise EvaluationError(
            f"{path}: a worker reads other bytes there: expected sha256 {sha256[:16]}, "
            f"found {found[:16]}; let the workers share one storage"
        )
    return data
