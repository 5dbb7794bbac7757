"""Golden vectors: a few pictures with every value they turn into, for self-tests."""

from __future__ import annotations

import base64
import hashlib
import io
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from edgedeploy.errors import InputError, PackageError
from edgedeploy.formats.tflite_tail import softmax_tail
from edgedeploy.isolate import Progress, run_isolated
from edgedeploy.ondevice.contract import ContractError, ImagePipeline, normalise
from edgedeploy.ondevice.pictures import PictureError, decode, prepare
from edgedeploy.ondevice.runtime import Model, NeedsXnnpack, TensorInfo, top_k
from edgedeploy.targets.arm_softmax import arm64_outputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLED_VALUES = 32
TOP_K = 5
# Up to here all scores are written down, above it only the best.
LISTED_CLASSES = 64
LISTED_OF_MANY = 16

# (width, height, transparent): wide, tall, one that has to be enlarged, and one with
# an alpha channel, so that each branch of the geometry is exercised.
_SHAPES = (
    (320, 213, False),
    (180, 320, False),
    (97, 83, False),
    (320, 256, True),
)


class VariantFile(Protocol):
    """A converted model, as far as packaging needs to know it."""

    @property
    def recipe(self) -> str:
        """Name of its recipe."""

    @property
    def path(self) -> Path:
        """The .tflite file."""

    @property
    def sha256(self) -> str:
        """Its digest, hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSignature:
    """What a model says of itself when it is loaded.

    Attributes:
        input: The input tensor.
        output: The output tensor.
        delegate: "XNNPACK" or "none".
    """

    input: TensorInfo
    output: TensorInfo
    delegate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenVectors:
    """Pictures, their document entries, and the models that answered.

    Attributes:
        files: PNG bytes by name, such as "golden/1.png".
        entries: The contract document's `golden` list, JSON values.
        signatures: By recipe.
        sources: The pictures that were taken.
    """

    files: Mapping[str, bytes]
    entries: tuple[Mapping[str, Any], ...]
    signatures: Mapping[str, VariantSignature]
    sources: tuple[Path, ...]


def golden_vectors(
    pipeline: ImagePipeline,
    variants: Sequence[VariantFile],
    pictures: Sequence[Path],
    operators: Sequence[Path] = (),
) -> GoldenVectors:
    """Make golden vectors from pictures, with each variant's answers.

    Args:
        pipeline: The contract.
        variants: Models to ask, each in a child process: one thread, with the
            runtime's default delegate and again without any, as runtimes on 32-bit
            Arm work. What a quantised softmax answers on 64-bit Arm is computed.
        pictures: Where the pixels come from. Of more than four, those are taken
            that the first variant is least sure of: an answer of 1 and zeros would
            survive most mistakes.
        operators: Shared libraries of the operators that the models need.

    Returns:
        Four pictures with their values.

    Raises:
        InputError: If there are no pictures or one cannot be decoded.
        PackageError: If a model cannot be loaded or does not fit the contract.
        IsolatedError: If it crashes the runtime.
    """
    if not variants:
        raise PackageError("golden vectors need at least one variant; received none")
    sources = _choose(pipeline, variants[0], pictures, operators)
    encoded = make_golden_pictures(sources)
    rgbs = [prepare(png, pipeline) for png in encoded]
    replies = {
        variant.recipe: _ask(variant, pipeline, encoded, operators, plain=True)
        for variant in variants
    }
    names = [f"golden/{number}.png" for number in range(1, len(encoded) + 1)]
    entries = tuple(
        {
            "file": name,
            **describe_tensor(rgb, pipeline),
            "expected": {
                recipe: reply["answers"][position] for recipe, reply in replies.items()
            },
            "expected_without_delegate": {
                recipe: reply["plain"][position]
                for recipe, reply in replies.items()
                if reply["plain"]
            },
            "expected_on_arm64": {
                recipe: reply["arm64"][position]
                for recipe, reply in replies.items()
                if reply["arm64"]
            },
        }
        for position, (name, rgb) in enumerate(zip(names, rgbs, strict=True))
    )
    return GoldenVectors(
        files=dict(zip(names, encoded, strict=True)),
        entries=entries,
        signatures={
            recipe: VariantSignature(
                input=_tensor(reply["input"]),
                output=_tensor(reply["output"]),
                delegate=reply["delegate"],
            )
            for recipe, reply in replies.items()
        },
        sources=sources,
    )


def _choose(
    pipeline: ImagePipeline,
    variant: VariantFile,
    pictures: Sequence[Path],
    operators: Sequence[Path],
) -> tuple[Path, ...]:
    """Take for each shape the picture whose best class scores lowest."""
    if len(pictures) <= len(_SHAPES):
        return tuple(pictures)
    encoded = make_golden_pictures(pictures)
    answers = _ask(variant, pipeline, encoded, operators)["answers"]
    sureness = [answer["top_k"][0][1] for answer in answers]
    positions = range(len(pictures))
    return tuple(
        pictures[min(positions[shape :: len(_SHAPES)], key=sureness.__getitem__)]
        for shape in range(len(_SHAPES))
    )


def _ask(
    variant: VariantFile,
    pipeline: ImagePipeline,
    pictures: Sequence[bytes],
    operators: Sequence[Path],
    *,
    plain: bool = False,
) -> dict[str, Any]:
    try:
        reply: dict[str, Any] = run_isolated(
            "edgedeploy.targets.golden:answer_pictures",
            {
                "model": str(variant.path),
                "pipeline": pipeline.to_dict(),
                "pictures": [base64.b64encode(png).decode() for png in pictures],
                "operators": [str(library) for library in operators],
                "plain": plain,
            },
            what=f"asking {variant.recipe} for golden vectors",
        )
    except ContractError as error:
        raise PackageError(f"golden vectors of {variant.recipe}: {error}") from error
    return reply


def make_golden_pictures(pictures: Sequence[Path]) -> tuple[bytes, ...]:
    """Cut small lossless pictures of different shapes from given ones.

    Args:
        pictures: At least one; fewer than four are used again.

    Returns:
        At least four PNG files without ICC profile or EXIF; equal pictures give
        equal bytes with one version of Pillow.

    Raises:
        InputError: If there are none or one cannot be decoded.
    """
    if not pictures:
        raise InputError("golden vectors need at least one picture; received none")
    plain = ImagePipeline(width=1, height=1)
    encoded = []
    for number in range(max(len(pictures), len(_SHAPES))):
        path = pictures[number % len(pictures)]
        width, height, transparent = _SHAPES[number % len(_SHAPES)]
        try:
            image = decode(path, plain)
        except PictureError as error:
            raise InputError(f"golden vectors: {error}") from error
        cut = _cover(image, width, height)
        if transparent:
            # Opaque at the left, clear at the right: every mixture occurs.
            ramp = np.linspace(255, 0, width).astype(np.uint8)
            cut.putalpha(Image.fromarray(np.tile(ramp, (height, 1))))
        buffer = io.BytesIO()
        cut.save(buffer, format="PNG", compress_level=9)
        encoded.append(buffer.getvalue())
    return tuple(encoded)


def describe_tensor(rgb: NDArray[np.uint8], pipeline: ImagePipeline) -> dict[str, Any]:
    """Write down a prepared picture so that a device can check its own.

    Args:
        rgb: Shape (height, width, 3), uint8, RGB, of the contract's size.
        pipeline: The contract.

    Returns:
        {"rgb_sha256", "tensor_samples": [[flat index, value]], "tensor_mean"}.
    """
    flat = normalise(rgb, pipeline).ravel()
    count = min(SAMPLED_VALUES, flat.size)
    # Odd steps through the tensor meet all three channels.
    positions = [flat.size * number // count for number in range(count)]
    return {
        "rgb_sha256": hashlib.sha256(rgb.tobytes()).hexdigest(),
        "tensor_samples": [[index, float(flat[index])] for index in positions],
        "tensor_mean": float(flat.mean(dtype=np.float64)),
    }


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


def _tensor(values: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(**{**values, "shape": tuple(values["shape"])})


def _cover(image: Image.Image, width: int, height: int) -> Image.Image:
    """Cut the centre of the wanted shape and scale it, without metadata."""
    if image.width * height >= image.height * width:
        box_h, box_w = image.height, max(1, image.height * width // height)
    else:
        box_w, box_h = image.width, max(1, image.width * height // width)
    left, top = (image.width - box_w) // 2, (image.height - box_h) // 2
    cut = image.crop((left, top, left + box_w, top + box_h))
    scaled = cut.resize((width, height), Image.Resampling.LANCZOS)
    return Image.fromarray(np.asarray(scaled))
