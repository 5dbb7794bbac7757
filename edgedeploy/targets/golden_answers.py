"""A network's answers to golden pictures, asked in a child process, written down."""

from __future__ import annotations

import base64
import hashlib
import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.formats.tflite_tail import softmax_tail
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.ondevice.runtime import Model, top_k
from edgedeploy.ondevice.tensors import NeedsXnnpack, TensorInfo
from edgedeploy.targets.arm_softmax import arm64_outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOP_K = 5
# Up to here all scores are written down, above it only the best.
LISTED_CLASSES = 64
LISTED_OF_MANY = 16


def answer_pictures(
    model: str,
    pipeline: Mapping[str, Any],
    pictures: Sequence[str],
    plain: bool,
    progress: Progress,
    operators: Sequence[str] = (),
) -> dict[str, Any]:
    """Run a model on PNG pictures; called in a child process.

    Args:
        model: Path of the .tflite file.
        pipeline: The contract as JSON values.
        pictures: PNG files in Base64.
        plain: Whether to ask again without delegate.
        progress: Called with the pictures done and their number.
        operators: Shared libraries of the operators that the model needs; without
            delegate it is not asked then.

    Returns:
        {"input", "output", "delegate", "answers": [{"top_k", "output",
        "raw_sha256"}], "plain": the answers without delegate, none where there is
        no difference or the model needs it, "arm64": those on 64-bit Arm, none where
        these are the same}.
    """
    contract = ImagePipeline.from_dict(pipeline)
    rgbs = [prepare(base64.b64decode(picture), contract) for picture in pictures]
    libraries = [Path(library) for library in operators]
    network = Model(Path(model), threads=1, operators=libraries)
    second = plain and network.delegate != "none" and not libraries
    passes = len(rgbs) * (1 + second)
    answers = []
    for done, rgb in enumerate(rgbs, start=1):
        answers.append(_answer(network, contract, rgb))
        progress(done, passes)
    undelegated = []
    bare = _without_delegate(Path(model)) if second else None
    if bare:
        for done, rgb in enumerate(rgbs, start=len(rgbs) + 1):
            undelegated.append(_answer(bare, contract, rgb))
            progress(done, passes)
    return {
        "input": tensor_document(network.input),
        "output": tensor_document(network.output),
        "delegate": network.delegate,
        "answers": answers,
        "plain": undelegated,
        "arm64": _answer_as_arm64(network, Path(model), contract, rgbs, libraries)
        if plain
        else [],
    }


def _without_delegate(path: Path) -> Model | None:
    """Load a model without delegate; None where it would answer nonsense then."""
    try:
        return Model(path, threads=1, xnnpack=False)
    except NeedsXnnpack:
        return None


def _answer_as_arm64(
    network: Model,
    path: Path,
    contract: ImagePipeline,
    rgbs: Sequence[NDArray[Any]],
    libraries: Sequence[Path],
) -> list[dict[str, Any]]:
    """Give the answers of a 64-bit Arm; none where this machine's are the same."""
    tail = softmax_tail(path.read_bytes())
    if tail is None or platform.machine() == "aarch64":
        return []
    with tempfile.TemporaryDirectory() as folder:
        shortened = Path(folder) / "before-softmax.tflite"
        shortened.write_bytes(tail.without)
        before = Model(shortened, threads=1, operators=libraries)
    answers = []
    for rgb in rgbs:
        logits = before.invoke(network.tensor(rgb[None], contract))
        raw = arm64_outputs(logits.reshape(1, -1), tail)
        if raw is None:
            return []
        answers.append(describe_answer(network.real(raw)[0], raw.tobytes()))
    return answers


def _answer(
    network: Model, contract: ImagePipeline, rgb: NDArray[np.uint8]
) -> dict[str, Any]:
    raw = network.invoke(network.tensor(rgb[None], contract))
    return describe_answer(
        network.real(raw)[0], raw.tobytes() if network.output.quantised else None
    )


def describe_answer(scores: NDArray[np.float32], raw: bytes | None) -> dict[str, Any]:
    """Write a network's answer down.

    Args:
        scores: Shape (classes,), float32, real values.
        raw: The quantised output's bytes, or None for float outputs.

    Returns:
        {"top_k": [[class, score] of five], "output": [[class, score] …], "raw_sha256"}.
    """
    many = len(scores) > LISTED_CLASSES
    listed = top_k(scores, LISTED_OF_MANY) if many else range(len(scores))
    return {
        "top_k": [[index, float(scores[index])] for index in top_k(scores, TOP_K)],
        "output": [[index, float(scores[index])] for index in listed],
        "raw_sha256": None if raw is None else hashlib.sha256(raw).hexdigest(),
    }


def tensor_document(info: TensorInfo) -> dict[str, Any]:
    """Give a tensor's description as JSON values."""
    return {
        "name": info.name,
        "shape": list(info.shape),
        "dtype": info.dtype,
        "scale": info.scale,
        "zero_point": info.zero_point,
    }
