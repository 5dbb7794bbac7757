"""Golden vectors: a few pictures with every value they turn into, for self-tests."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgedeploy.errors import PackageError
from edgedeploy.isolate import run_isolated
from edgedeploy.ondevice.contract import ContractError, ImagePipeline
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.ondevice.tensors import TensorInfo
from edgedeploy.targets.golden_pictures import (
    SHAPES,
    describe_tensor,
    make_golden_pictures,
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
    if len(pictures) <= len(SHAPES):
        return tuple(pictures)
    encoded = make_golden_pictures(pictures)
    answers = _ask(variant, pipeline, encoded, operators)["answers"]
    sureness = [answer["top_k"][0][1] for answer in answers]
    positions = range(len(pictures))
    return tuple(
        pictures[min(positions[shape :: len(SHAPES)], key=sureness.__getitem__)]
        for shape in range(len(SHAPES))
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
            "edgedeploy.targets.golden_answers:answer_pictures",
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


def _tensor(values: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(**{**values, "shape": tuple(values["shape"])})
