"""A network of one size rebuilt for many, or refused with the layer that stops it.

A network takes another size if each of its layers works wherever it is put (it
convolves, pools, normalises, adds), and if one layer then sums up the whole map,
however large: global pooling. Fixed pooling over the whole map is the same thing at
one size, and is replaced. Everything else is refused by name: a layer that flattens
the map fails at another size, and fixed pooling over most of it answers as if nothing
were wrong, without having seen the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgedeploy.errors import ConversionError
from edgedeploy.ondevice.shapes import InputShapes, Size, size_name

# Of probabilities, between the network and its rebuilt form at their common size.
TOLERANCE = 1e-6
_GLOBAL = ("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Mean")
_ANY_SIZE = frozenset(
    (
        *("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"),
        *("BatchNormalization", "LayerNormalization", "Normalization", "Rescaling"),
        *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
        *("Relu", "Relu6", "LeakyRelu", "Sigmoid", "Silu", "HardSilu", "Tanh", "Gelu"),
        *("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Average"),
        *("Maximum", "Minimum", "Concatenate", "Clip"),
        *("Dropout", "SpatialDropout2D", "GaussianNoise", "Identity"),
        *("ZeroPadding2D", "UpSampling2D", "Resizing"),
        *("MaxPooling2D", "AveragePooling2D"),
        *_GLOBAL,
    )
)
_POOLING = {
    "AveragePooling2D": "GlobalAveragePooling2D",
    "MaxPooling2D": "GlobalMaxPooling2D",
}
_REMEDY = "pool the map with GlobalAveragePooling2D, or leave the shapes out"


def make_flexible(model: Any, shapes: InputShapes, default: Size) -> Any:
    """Rebuild a network so that height and width of its input are open.

    Args:
        model: A keras.Model from one picture, float32 (batch, height, width, 3), to
            one vector of probabilities.
        shapes: The sizes that it has to take.
        default: (width, height) of the pipeline's pictures.

    Returns:
        A keras.Model with the same weights and an input (batch, None, None, 3).

    Raises:
        ConversionError: If the network cannot take every one of the sizes; the layer
            that stands against it is in the message.
    """
    import keras

    whole = _functional(model)
    copies: list[tuple[Any, Any]] = []
    picture = keras.Input((None, None, int(model.input_shape[-1])), name="image")
    flexible = _walk(whole, picture, _copy(copies), _check_open)
    if len(flexible.output.shape) != 2 or flexible.output.shape[-1] is None:
        raise ConversionError(
            f"the network gives {flexible.output.shape} for pictures of any size; "
            f"expected one vector of probabilities: {_REMEDY}"
        )
    for old, new in copies:
        new.set_weights(old.get_weights())
    for size in _smallest(shapes.corners()):
        _check_size(flexible, size)
    _check_equal(model, flexible, default)
    return flexible


def _functional(model: Any) -> Any:
    """Give a model as a graph from one tensor to one tensor."""
    import keras

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConversionError(
            f"{_named(model)} has {len(model.inputs)} inputs and "
            f"{len(model.outputs)} outputs; expected one of each"
        )
    return keras.Model(model.inputs[0], model.outputs[0])


def _walk(
    model: Any,
    tensor: Any,
    clone: Callable[[Any], Any],
    check: Callable[[Any, tuple[Any, ...], Any], None],
) -> Any:
    """Lead a tensor through a model's layers, and through models inside it."""
    import keras

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(layer, keras.Model):
            # A model of its own: in Keras no model can begin inside another.
            inside = keras.Input(tuple(arguments[0].shape[1:]))
            return _walk(_functional(layer), inside, clone, check)(arguments[0])
        inputs = keras.tree.flatten(arguments)
        shapes = tuple(
            tuple(x.shape) for x in inputs if keras.backend.is_keras_tensor(x)
        )
        _check_kind(layer, shapes)
        try:
            made = layer(*arguments, **options)
        except (ValueError, TypeError) as error:
            raise ConversionError(
                f"layer {_named(layer)} cannot take {_shown(shapes)}: {_REMEDY}"
            ) from error
        check(layer, shapes, made)
        return made

    return keras.models.clone_model(
        model, input_tensors=tensor, clone_function=clone, call_function=call
    )


def _copy(copies: list[tuple[Any, Any]]) -> Callable[[Any], Any]:
    """Make new layers without weights, and remember whose they are to have."""

    def clone(layer: Any) -> Any:
        import keras

        if isinstance(layer, keras.Model):
            return layer
        try:
            new = _global_pooling(layer) or type(layer).from_config(layer.get_config())
        except (ValueError, TypeError) as error:
            raise ConversionError(
                f"layer {_named(layer)} cannot be rebuilt for many sizes: replace it, "
                "or leave the shapes out"
            ) from error
        if getattr(layer, "weights", None):
            copies.append((layer, new))
        return new

    return clone


def _global_pooling(layer: Any) -> Any:
    """Replace pooling over the whole map; refuse pooling over most of it."""
    import keras

    kind = type(layer).__name__
    if kind not in _POOLING:
        return None
    given, made = tuple(layer.input.shape)[1:3], tuple(layer.output.shape)[1:3]
    if made != (1, 1) or given == (1, 1):
        return None
    window = tuple(layer.pool_size)
    if layer.padding != "valid" or window != given:
        raise ConversionError(
            f"layer {_named(layer)} pools {window[0]} x {window[1]} of a map of "
            f"{given[0]} x {given[1]} and leaves the border out of the answer; it only "
            f"seems to take other sizes: {_REMEDY}"
        )
    return getattr(keras.layers, _POOLING[kind])(keepdims=True, name=layer.name)


def _check_kind(layer: Any, shapes: tuple[Any, ...]) -> None:
    kind = type(layer).__name__
    if not any(_is_open(shape) for shape in shapes) or kind in _ANY_SIZE:
        return
    if kind == "Dense":
        # It works along the channels, at each place for itself.
        return
    if kind in ("Flatten", "Reshape"):
        raise ConversionError(
            f"layer {_named(layer)} makes a vector of a map whose size changes, so it "
            f"fits one size alone: {_REMEDY}"
        )
    raise ConversionError(
        f"layer {_named(layer)} is not known to work at every size: replace it, or "
        "leave the shapes out"
    )


def _check_open(layer: Any, shapes: tuple[Any, ...], made: Any) -> None:
    """Insist that only global pooling turns a map of open size into something fixed."""
    if not any(_is_open(shape) for shape in shapes):
        return
    kind = type(layer).__name__
    if not _is_open(tuple(made.shape)) and kind not in (*_GLOBAL, "Resizing"):
        raise ConversionError(
            f"layer {_named(layer)} gives {_shown((tuple(made.shape),))} whatever the "
            f"size of its map: {_REMEDY}"
        )


def _check_size(model: Any, size: Size) -> None:
    """Lead a picture's shape through the layers; somewhere the map may vanish."""
    import keras

    def check(layer: Any, _shapes: tuple[Any, ...], made: Any) -> None:
        if len(made.shape) == 4 and 0 in made.shape[1:3]:
            raise ConversionError(
                f"nothing is left of the map in layer {_named(layer)}"
            )

    picture = keras.Input((size[1], size[0], int(model.input_shape[-1])))
    try:
        _walk(_functional(model), picture, lambda layer: layer, check)
    except ConversionError as error:
        reason = str(error).partition(": ")[0]
        raise ConversionError(
            f"pictures of {size_name(size)} are too small: {reason}"
        ) from error


def _smallest(sizes: tuple[Size, ...]) -> tuple[Size, ...]:
    """The sizes that no other is within."""
    return tuple(
        one
        for one in sizes
        if not any(
            other != one and other[0] <= one[0] and other[1] <= one[1]
            for other in sizes
        )
    )


def _check_equal(model: Any, flexible: Any, default: Size) -> None:
    """Compare both on random pictures at the size that the network was built for."""
    height, width = model.input_shape[1:3]
    if height and width:
        default = int(width), int(height)
    random = np.random.default_rng(0)
    shape = (2, default[1], default[0], int(model.input_shape[-1]))
    pictures = random.uniform(-1, 1, shape).astype(np.float32)
    before = np.asarray(model(pictures, training=False))
    after = np.asarray(flexible(pictures, training=False))
    difference = float(np.abs(before - after).max())
    # NaN compares false.
    if not difference <= TOLERANCE:
        raise ConversionError(
            f"rebuilt for many sizes the network answers otherwise at its own, "
            f"{size_name(default)}: by {difference:.2g}, allowed are {TOLERANCE:g}"
        )


def _is_open(shape: tuple[Any, ...]) -> bool:
    """Whether a tensor's size changes with the picture's, beside the batch."""
    return None in shape[1:]


def _named(layer: Any) -> str:
    return f"{layer.name} ({type(layer).__name__})"


def _shown(shapes: tuple[Any, ...]) -> str:
    return " and ".join(
        "x".join("?" if size is None else str(size) for size in shape)
        for shape in shapes
    )
