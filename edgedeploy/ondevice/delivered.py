"""What a bundle holds, as values; `bundle` reads them from its document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .contract import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .contract import ImagePipeline
    from .shapes import InputShapes
    from .tensors import TensorInfo


class BundleError(ContractError):
    """A bundle's document is missing, damaged or contradicts its files."""


class UnknownSize(BundleError):  # noqa: N818  (named as the state it reports)
    """A bundle's models do not take the size that was asked for."""


class UnknownVariant(BundleError):  # noqa: N818  (named as the state it reports)
    """A bundle has no variant of the name that was asked for."""


@dataclass(frozen=True, kw_only=True)
class DeliveredVariant:
    """One model file of a bundle.

    Attributes:
        recipe: How the numbers are written, such as "int8".
        path: The .tflite file.
        sha256: Its digest, hexadecimal.
        size_bytes: Its size.
        input: The input tensor.
        output: The output tensor.
        tolerance: Largest difference of an output allowed on another processor, in
            the output's real unit; 0.0 means bit for bit.
        delegate: What ran it when the golden vectors were made: "XNNPACK" or "none".
        batch: Pictures to put through it at once where many are waiting.
    """

    recipe: str
    path: Path
    sha256: str
    size_bytes: int
    input: TensorInfo
    output: TensorInfo
    tolerance: float
    delegate: str
    batch: int = 1


@dataclass(frozen=True, kw_only=True)
class DeliveredNeighbours:
    """A table of embeddings whose nearest neighbours vote for a class.

    Attributes:
        vectors: Path and SHA-256 (hexadecimal) of the embeddings' .npy file.
        classes: The same of the class of each.
        dimensions: Values of an embedding, which the network gives.
        metric: One of `neighbours.METRICS`.
        k: Neighbours that vote.
    """

    vectors: tuple[Path, str]
    classes: tuple[Path, str]
    dimensions: int
    metric: str
    k: int


@dataclass(frozen=True, kw_only=True)
class DeliveredOperator:
    """An operator that the models need and LiteRT does not bring.

    Attributes:
        name: As the models name it.
        libraries: Path and SHA-256 (hexadecimal) of the shared library, by ABI, such
            as "linux-aarch64"; an ABI that nobody could compile for is missing.
    """

    name: str
    libraries: Mapping[str, tuple[Path, str]]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a variant answered where the bundle was made.

    Attributes:
        top_k: (class index, score) of the best classes, best first.
        output: (class index, score) of all classes, or of the best where there are
            many.
        raw_sha256: Digest of the quantised output's bytes, or None for float.
    """

    top_k: tuple[tuple[int, float], ...]
    output: tuple[tuple[int, float], ...]
    raw_sha256: str | None


@dataclass(frozen=True, kw_only=True)
class GoldenVector:
    """A picture with every value that it turns into on the way through the contract.

    Attributes:
        path: A lossless PNG file.
        rgb_sha256: Digest of the uint8 RGB bytes after crop and resize, row by row.
        tensor_samples: (flat index, value) of the normalised float32 tensor.
        tensor_mean: Mean of that tensor, summed in float64.
        expected: By recipe.
        undelegated: By recipe, without the delegate; runtimes on 32-bit Arm have none.
        arm64: By recipe, on 64-bit Arm, where it answers otherwise than other
            processors: its quantised softmax has a kernel of its own.
    """

    path: Path
    rgb_sha256: str
    tensor_samples: tuple[tuple[int, float], ...]
    tensor_mean: float
    expected: Mapping[str, Expected]
    undelegated: Mapping[str, Expected]
    arm64: Mapping[str, Expected]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A delivered classifier.

    Attributes:
        folder: Where it lies.
        model: The model's handle.
        title: Its name for people.
        weights: Which weights it has.
        pipeline: How a picture becomes a tensor.
        labels: Class names in the order of the outputs.
        default: The recipe to use when none is asked for.
        variants: By recipe.
        golden: Pictures with known answers.
        operators: Operators of one's own that the models need.
        neighbours: What turns the network's output into classes, or None where the
            outputs are the classes.
        shapes: The sizes of picture that the network takes, or None for the
            pipeline's alone.
    """

    folder: Path
    model: str
    title: str
    weights: str
    pipeline: ImagePipeline
    labels: tuple[str, ...]
    default: str
    variants: Mapping[str, DeliveredVariant]
    golden: tuple[GoldenVector, ...]
    operators: tuple[DeliveredOperator, ...] = ()
    neighbours: DeliveredNeighbours | None = None
    shapes: InputShapes | None = None

    @property
    def outputs(self) -> int:
        """How many values the network gives for a picture."""
        return self.neighbours.dimensions if self.neighbours else len(self.labels)

    def variant(self, recipe: str | None = None) -> DeliveredVariant:
        """Give a variant, the default one where no recipe is named.

        Raises:
            UnknownVariant: If the bundle has none of that name.
        """
        name = self.default if recipe is None else recipe
        if name not in self.variants:
            raise UnknownVariant(
                f"{self.folder}: no variant {name!r}; there are "
                f"{', '.join(self.variants)}"
            )
        return self.variants[name]
