"""The contract: how a picture becomes a tensor, as one value.

The same value drives calibration, evaluation, benchmarks, the metadata inside the
model, and the code on the device. Geometry and colour are integer arithmetic on
8-bit RGB, so that two implementations can agree bit for bit; only the last step,
normalisation, is floating point.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CROPS = ("center_square", "none")
ORDERS = ("crop_then_resize", "resize_then_crop")
KERNELS = ("nearest", "box", "bilinear", "bicubic", "lanczos")
CHANNELS = ("rgb", "bgr")
ORIENTATIONS = ("exif", "ignore")
ICC = ("to_srgb", "ignore")


class ContractError(ValueError):
    """A contract, a picture or a model's tensors do not fit together."""


@dataclass(frozen=True, kw_only=True)
class ImagePipeline:
    """How a picture becomes a float tensor.

    Attributes:
        width: Output columns in pixels.
        height: Output rows in pixels.
        crop: "center_square" keeps the largest centred square, "none" the whole
            picture (which then is squashed to the output's aspect ratio).
        crop_fraction: Share of the crop's side that is kept, in (0, 1].
        order: "crop_then_resize" cuts the box and resizes it, so pixels outside
            the box have no influence; "resize_then_crop" resizes the whole picture
            until the box has the output's size, then cuts. The two official
            ImageNet preprocessings disagree here.
        kernel: Resampling kernel, one of `KERNELS`.
        antialias: Whether the kernel widens when shrinking (as Pillow does).
        channels: Order of the tensor's channels, "rgb" or "bgr".
        mean: Subtracted from each RGB channel on the scale 0..255.
        std: Divides each RGB channel after the subtraction, on the scale 0..255.
        orientation: "exif" turns the picture as its EXIF tag says.
        alpha_over: RGB background, 0..255, under transparent pixels.
        icc: "to_srgb" converts embedded profiles to sRGB.
    """

    width: int
    height: int
    crop: str = "center_square"
    crop_fraction: float = 1.0
    order: str = "crop_then_resize"
    kernel: str = "bilinear"
    antialias: bool = True
    channels: str = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    orientation: str = "exif"
    alpha_over: tuple[int, int, int] = (255, 255, 255)
    icc: str = "to_srgb"

    def __post_init__(self) -> None:
        """Refuse values that no picture could be prepared with."""
        for name in ("width", "height"):
            _check_integer(name, getattr(self, name), 1, 8192)
        for name, allowed in (
            ("crop", CROPS),
            ("order", ORDERS),
            ("kernel", KERNELS),
            ("channels", CHANNELS),
            ("orientation", ORIENTATIONS),
            ("icc", ICC),
        ):
            _check_choice(name, getattr(self, name), allowed)
        if not (_is_number(self.crop_fraction) and 0 < self.crop_fraction <= 1):
            msg = f"crop_fraction must be in (0, 1]; received {self.crop_fraction!r}"
            raise ContractError(msg)
        if not isinstance(self.antialias, bool):
            msg = f"antialias must be true or false; received {self.antialias!r}"
            raise ContractError(msg)
        _freeze_triple(self, "mean", lambda _: True)
        # A device divides in float32, where what is smaller counts as 0.
        _freeze_triple(self, "std", lambda v: v >= float(np.finfo(np.float32).tiny))
        _freeze_triple(self, "alpha_over", lambda v: v == int(v) and 0 <= v <= 255)
        object.__setattr__(self, "alpha_over", tuple(int(v) for v in self.alpha_over))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImagePipeline:
        """Build a pipeline from JSON or TOML values.

        Raises:
            ContractError: If a key is unknown or missing, or a value impossible.
        """
        if not isinstance(values, Mapping):
            msg = f"pipeline must be a table of fields; received {values!r}"
            raise ContractError(msg)
        known = [field.name for field in fields(cls)]
        unknown = sorted(str(name) for name in set(values) - set(known))
        if unknown:
            msg = (
                f"pipeline has no field {', '.join(unknown)}; "
                f"it takes {', '.join(known)}"
            )
            raise ContractError(msg)
        missing = [name for name in ("width", "height") if name not in values]
        if missing:
            msg = f"pipeline needs {' and '.join(missing)}"
            raise ContractError(msg)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Give the pipeline as JSON values, the inverse of `from_dict`."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    def digest(self) -> str:
        """SHA-256 (hexadecimal) of the canonical JSON of all fields."""
        return _digest(self.to_dict())

    def geometry_digest(self) -> str:
        """SHA-256 of what decides the 8-bit RGB picture: all but normalisation."""
        values = self.to_dict()
        for name in ("mean", "std", "channels"):
            del values[name]
        return _digest(values)


def crop_box(
    width: int, height: int, pipeline: ImagePipeline
) -> tuple[int, int, int, int]:
    """Find the box of a picture that reaches the tensor under crop_then_resize.

    The box is in whole pixels: sides are rounded down, offsets up, as in the
    preprocessing that EfficientNet was published with (`decode_and_center_crop` of
    its TPU reference), so that every implementation finds the same one.

    Args:
        width: Picture width in pixels, after orientation.
        height: Picture height in pixels, after orientation.
        pipeline: The contract.

    Returns:
        (left, top, right, bottom) in pixels.
    """
    if pipeline.crop == "center_square":
        box_w = box_h = min(width, height)
    else:
        box_w, box_h = width, height
    box_w = max(1, int(box_w * pipeline.crop_fraction))
    box_h = max(1, int(box_h * pipeline.crop_fraction))
    left, top = (width - box_w + 1) // 2, (height - box_h + 1) // 2
    return left, top, left + box_w, top + box_h


def resized_size(width: int, height: int, pipeline: ImagePipeline) -> tuple[int, int]:
    """Find the size that resize_then_crop scales the whole picture to.

    Args:
        width: Picture width in pixels, after orientation.
        height: Picture height in pixels, after orientation.
        pipeline: The contract.

    Returns:
        (width, height) in pixels, never smaller than the output.
    """
    fraction = pipeline.crop_fraction
    target_w = max(pipeline.width, int(pipeline.width / fraction + 0.5))
    target_h = max(pipeline.height, int(pipeline.height / fraction + 0.5))
    if pipeline.crop == "none":
        return target_w, target_h
    # Integer arithmetic: the longer side is scaled by the shorter side's factor and
    # rounded half up, so that no platform's floating point can move it by a pixel.
    if width * target_h >= height * target_w:
        return max(target_w, (2 * width * target_h + height) // (2 * height)), target_h
    return target_w, max(target_h, (2 * height * target_w + width) // (2 * width))


def normalise(rgb: NDArray[np.uint8], pipeline: ImagePipeline) -> NDArray[np.float32]:
    """Turn 8-bit RGB pictures into the float tensor that the network was trained on.

    Args:
        rgb: Pictures, shape (..., height, width, 3), uint8, RGB.
        pipeline: The contract.

    Returns:
        Shape as given, float32, channels in the contract's order.
    """
    return _look_up(rgb, normalisation_table(pipeline), pipeline)


def normalisation_table(pipeline: ImagePipeline) -> NDArray[np.float32]:
    """Tabulate (value - mean) / std for the 256 values of each RGB channel.

    Returns:
        Shape (256, 3), float32, computed in float32 as a device would.
    """
    values = np.arange(256, dtype=np.float32)[:, None]
    mean = np.array(pipeline.mean, np.float32)
    std = np.array(pipeline.std, np.float32)
    return np.asarray((values - mean) / std, np.float32)


def quantise(
    rgb: NDArray[np.uint8],
    pipeline: ImagePipeline,
    *,
    dtype: str,
    scale: float,
    zero_point: int,
) -> NDArray[Any]:
    """Turn 8-bit RGB pictures into a quantised input tensor.

    Args:
        rgb: Pictures, shape (..., height, width, 3), uint8, RGB.
        pipeline: The contract.
        dtype: "uint8", "int8" or "int16".
        scale: The tensor's scale, positive.
        zero_point: The tensor's zero point, in the dtype's range.

    Returns:
        Shape as given, of the dtype; real = scale * (value - zero_point), rounded
        half away from zero and saturated, as TFLite's own quantize operator does.
    """
    limits = np.iinfo(dtype)
    # Divided in float32, as the operator does, since whole tables can lie on ties: with
    # mean and std 127.5 every value is half a step off. Rounded in float64, where
    # adding a half is exact.
    quotients = normalisation_table(pipeline) / np.float32(scale)
    steps = quotients.astype(np.float64)
    rounded = np.trunc(steps + np.copysign(0.5, steps)) + zero_point
    table = np.clip(rounded, limits.min, limits.max).astype(dtype)
    return _look_up(rgb, table, pipeline)


def dequantise(values: NDArray[Any], scale: float, zero_point: int) -> NDArray[Any]:
    """Turn quantised outputs into real ones: scale * (value - zero_point), float32."""
    shifted = values.astype(np.int32) - np.int32(zero_point)
    return np.asarray(shifted * np.float32(scale), np.float32)


def _look_up(
    rgb: NDArray[np.uint8], table: NDArray[Any], pipeline: ImagePipeline
) -> NDArray[Any]:
    """Replace each channel's values by their row of a (256, 3) table."""
    out = np.empty(rgb.shape, table.dtype)
    order = (0, 1, 2) if pipeline.channels == "rgb" else (2, 1, 0)
    for position, channel in enumerate(order):
        out[..., position] = table[rgb[..., channel], channel]
    return out


def _digest(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_number(value: Any) -> bool:
    """Whether a value is a number that float32 can hold."""
    # NaN compares false, and Python compares integers of any size exactly.
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= float(np.finfo(np.float32).max)
    )


def _check_integer(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"{name} must be an integer; received {value!r}"
        raise ContractError(msg)
    if not low <= value <= high:
        msg = f"{name} must be {low} to {high}; received {value}"
        raise ContractError(msg)


def _check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        msg = f"{name} must be one of {', '.join(allowed)}; received {value!r}"
        raise ContractError(msg)


def _freeze_triple(pipeline: ImagePipeline, name: str, allowed: Any) -> None:
    values = getattr(pipeline, name)
    if (
        not isinstance(values, (list, tuple))
        or len(values) != 3
        or not all(_is_number(v) and allowed(v) for v in values)
    ):
        what = "three numbers" if name == "mean" else "three numbers in range"
        msg = f"{name} must be {what}, one a channel; received {values!r}"
        raise ContractError(msg)
    object.__setattr__(pipeline, name, tuple(float(v) for v in values))
