"""EfficientNet-Lite0: the mobile network without squeeze-and-excite, with ReLU6.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
(2019), table 1, in the Lite variant that TensorFlow published in 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import WeightsError
from edgedeploy.fetch.unpickle import read_state_dict

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAYOUTS = ("pth",)
"""A state dict with the names of the PyTorch port."""

INPUT_SIZE = 224
_EPSILON = 1e-3
_STEM_FILTERS = 32
_HEAD_FILTERS = 1280


@dataclass(frozen=True, slots=True)
class _Stage:
    kernel: int
    stride: int
    expansion: int
    filters: int
    repeats: int


_STAGES = (
    _Stage(3, 1, 1, 16, 1),
    _Stage(3, 2, 6, 24, 2),
    _Stage(5, 2, 6, 40, 2),
    _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3),
    _Stage(5, 2, 6, 192, 4),
    _Stage(3, 1, 6, 320, 1),
)


def build(weights: Path, layout: str) -> Any:
    """Build EfficientNet-Lite0 with its weights.

    Args:
        weights: A .pth file.
        layout: "pth".

    Returns:
        A keras.Model; see `edgedeploy.architectures.build`.

    Raises:
        WeightsError: If a tensor is missing, left over, or of another shape.
    """
    del layout  # There is but one.
    return build_from_arrays(read_state_dict(weights), weights.name)


def build_from_arrays(arrays: dict[str, NDArray[Any]], subject: str) -> Any:
    """Build EfficientNet-Lite0 from a state dict.

    Args:
        arrays: By the names of the PyTorch port; convolutions are laid out
            (output, input, height, width), the classifier (classes, features).
        subject: Name of the file, for messages.

    Returns:
        A keras.Model; see `edgedeploy.architectures.build`.

    Raises:
        WeightsError: If a tensor is missing, left over, or of another shape.
    """
    import keras

    network = _Network(arrays, subject)
    image = keras.Input((INPUT_SIZE, INPUT_SIZE, 3), name="image")
    x = network.convolve(image, "_conv_stem", _STEM_FILTERS, kernel=3, stride=2)
    x = network.activate(network.normalise(x, "_bn0"))
    index = 0
    for stage in _STAGES:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            x = _add_block(network, x, f"_blocks.{index}.", stage, stride)
            index += 1
    x = network.convolve(x, "_conv_head", _HEAD_FILTERS)
    x = network.activate(network.normalise(x, "_bn1"))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, network.classify(x, "_fc"), name="efficientnet_lite0")
    network.load()
    return model


def _add_block(
    network: _Network, x: Any, prefix: str, stage: _Stage, stride: int
) -> Any:
    """Add an inverted residual block (Sandler et al., "MobileNetV2", 2018)."""
    import keras

    shortcut, channels = x, int(x.shape[-1])
    if stage.expansion != 1:
        x = network.convolve(x, f"{prefix}_expand_conv", channels * stage.expansion)
        x = network.activate(network.normalise(x, f"{prefix}_bn0"))
    x = network.filter(x, f"{prefix}_depthwise_conv", stage.kernel, stride)
    x = network.activate(network.normalise(x, f"{prefix}_bn1"))
    x = network.convolve(x, f"{prefix}_project_conv", stage.filters)
    x = network.normalise(x, f"{prefix}_bn2")
    if stride == 1 and channels == stage.filters:
        x = keras.layers.Add(name=f"{_name(prefix)}_add")([x, shortcut])
    return x


class _Network:
    """Adds layers and remembers which tensors they take."""

    def __init__(self, arrays: dict[str, NDArray[Any]], subject: str) -> None:
        self._arrays = arrays
        self._subject = subject
        self._assigned: list[tuple[Any, list[NDArray[Any]]]] = []
        # Counters of training steps; nothing at inference.
        self._unused = {
            key for key in arrays if not key.endswith("num_batches_tracked")
        }

    def convolve(
        self, x: Any, name: str, filters: int, *, kernel: int = 1, stride: int = 1
    ) -> Any:
        """Add a convolution without bias."""
        import keras

        layer = keras.layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            name=_name(name),
        )
        shape = (filters, int(x.shape[-1]), kernel, kernel)
        taken = self._take(f"{name}.weight", shape)
        self._assigned.append((layer, [taken.transpose(2, 3, 1, 0)]))
        return layer(x)

    def filter(self, x: Any, name: str, kernel: int, stride: int) -> Any:
        """Add a depthwise convolution without bias."""
        import keras

        layer = keras.layers.DepthwiseConv2D(
            kernel, strides=stride, padding="same", use_bias=False, name=_name(name)
        )
        taken = self._take(f"{name}.weight", (int(x.shape[-1]), 1, kernel, kernel))
        self._assigned.append((layer, [taken.transpose(2, 3, 0, 1)]))
        return layer(x)

    def normalise(self, x: Any, name: str) -> Any:
        """Add a batch normalisation."""
        import keras

        layer = keras.layers.BatchNormalization(epsilon=_EPSILON, name=_name(name))
        shape = (int(x.shape[-1]),)
        parts = ("weight", "bias", "running_mean", "running_var")
        taken = [self._take(f"{name}.{part}", shape) for part in parts]
        self._assigned.append((layer, taken))
        return layer(x)

    def activate(self, x: Any) -> Any:
        """Add a ReLU6."""
        import keras

        return keras.layers.ReLU(6.0)(x)

    def classify(self, x: Any, name: str) -> Any:
        """Add the classifier, as wide as its weights are."""
        import keras

        classes = self._count_classes(f"{name}.bias")
        layer = keras.layers.Dense(classes, activation="softmax", name="probabilities")
        kernel = self._take(f"{name}.weight", (classes, int(x.shape[-1])))
        bias = self._take(f"{name}.bias", (classes,))
        self._assigned.append((layer, [kernel.T, bias]))
        return layer(x)

    def load(self) -> None:
        """Give every layer its tensors, once the model is whole."""
        if self._unused:
            raise WeightsError(
                f"{self._subject} has tensors that EfficientNet-Lite0 lacks: "
                f"{', '.join(sorted(self._unused)[:3])}"
            )
        for layer, arrays in self._assigned:
            layer.set_weights(arrays)

    def _take(self, key: str, shape: tuple[int, ...]) -> NDArray[Any]:
        array = self._find(key)
        if array.shape != shape or array.dtype.kind != "f":
            raise WeightsError(
                f"{self._subject}: {key} should be floating point {shape}, found "
                f"{array.dtype} {array.shape}"
            )
        self._unused.discard(key)
        return array.astype("float32")

    def _count_classes(self, key: str) -> int:
        array = self._find(key)
        if array.ndim != 1 or array.size < 2:
            raise WeightsError(f"{self._subject}: {key} should have one number a class")
        return int(array.size)

    def _find(self, key: str) -> NDArray[Any]:
        if key not in self._arrays:
            raise WeightsError(f"{self._subject} lacks {key} of EfficientNet-Lite0")
        return self._arrays[key]


def _name(key: str) -> str:
    return key.replace(".", "_").strip("_")
