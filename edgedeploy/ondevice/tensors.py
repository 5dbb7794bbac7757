"""A model's tensors: what a runtime says of them, and pictures and scores as theirs.

Quantised tensors are converted by scale and zero point, never by a straight cast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import ContractError, ImagePipeline, dequantise, normalise, quantise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class ModelError(ContractError):
    """The runtime refused a model file, or the model does not fit its contract."""


class NeedsXnnpack(ModelError):  # noqa: N818  (named as the state it reports)
    """Only XNNPACK computes the model rightly, and it does not run here."""


@dataclass(frozen=True)
class TensorInfo:
    """A model's input or output tensor.

    Attributes:
        name: As the model gives it.
        shape: With batch first; 1 where the model leaves a dimension open.
        dtype: NumPy name, such as "float32" or "uint8".
        scale: Quantisation step; 0.0 for float tensors.
        zero_point: Quantised value of real 0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int

    @property
    def quantised(self) -> bool:
        """Whether values need scale and zero point to become real numbers."""
        return self.scale != 0.0


def read_tensor(details: Mapping[str, Any]) -> TensorInfo:
    """Read what a runtime says of a tensor.

    Args:
        details: An element of an interpreter's get_input_details or
            get_output_details, or a value of a signature runner's.
    """
    scale, zero_point = details["quantization"]
    return TensorInfo(
        name=str(details["name"]),
        shape=tuple(int(size) for size in details["shape"]),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
    )


def open_dimensions(
    details: Mapping[str, Any], shape: tuple[int, ...]
) -> frozenset[int]:
    """Give the axes whose size the model leaves open.

    Args:
        details: As for `read_tensor`.
        shape: The tensor's, with 1 for what is open.
    """
    signature = [int(size) for size in details.get("shape_signature", ())]
    if len(signature) != len(shape):
        return frozenset()
    return frozenset(axis for axis, size in enumerate(signature) if size < 0)


def encode_pictures(
    rgb: NDArray[np.uint8], pipeline: ImagePipeline, tensor: TensorInfo
) -> NDArray[Any]:
    """Turn 8-bit RGB pictures into values of an input tensor.

    Args:
        rgb: Shape (…, 3), uint8, RGB.
        pipeline: The contract.
        tensor: The input.

    Returns:
        Shape as given, of the tensor's dtype.
    """
    if not tensor.quantised:
        return normalise(rgb, pipeline)
    return quantise(
        rgb,
        pipeline,
        dtype=tensor.dtype,
        scale=tensor.scale,
        zero_point=tensor.zero_point,
    )


def decode_scores(values: NDArray[Any], tensor: TensorInfo) -> NDArray[np.float32]:
    """Turn values of an output tensor into real scores.

    Args:
        values: Shape (batch, …), of the tensor's dtype.
        tensor: The output.

    Returns:
        Shape (batch, classes), float32.
    """
    flat = values.reshape(len(values), -1)
    if not tensor.quantised:
        return np.asarray(flat, np.float32)
    return dequantise(flat, tensor.scale, tensor.zero_point)
