"""A frozen backbone as its own file, and the head that learns on its features.

The backbone runs once for each picture, in int8; its features are kept, and the head
is trained on them in microseconds a step. Any layer that the TFLite converter takes
may be in the backbone.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgedeploy.convert.converter import run_converter
from edgedeploy.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = "features"
_KERNELS = ("Conv2D", "DepthwiseConv2D", "Dense")


def split_backbone(model: Any, *, trainable_last: int = 1) -> tuple[Any, Any]:
    """Cut a Keras model in front of its last layers.

    Args:
        model: A built Sequential or functional model, one input, one output.
        trainable_last: How many of the last layers with a kernel go into the head.

    Returns:
        The backbone, from pictures to features, and the head, from features on.

    Raises:
        TrainingError: If the count fits no such model, or more than the features
            would have to cross the cut.
    """
    import keras

    counted = [x for x in model.layers if type(x).__name__ in _KERNELS]
    if not 1 <= trainable_last < len(counted):
        raise TrainingError(
            f"trainable_last must be 1 to {len(counted) - 1} for a cut of this model; "
            f"received {trainable_last}"
        )
    features = counted[-trainable_last].input
    backbone = keras.Model(model.inputs, features, name="backbone")
    try:
        head = keras.Model(features, model.outputs[0], name="head")
    except ValueError as error:
        raise TrainingError(
            f"{counted[-trainable_last].name}: more than its input would cross a cut "
            "in front of it; give another trainable_last"
        ) from error
    return backbone, head


def export_backbone(
    backbone: Any, *, representative: Iterable[NDArray[Any]] | None = None
) -> bytes:
    """Convert a backbone to a .tflite file with the signature `features`.

    Args:
        backbone: As of `split_backbone`.
        representative: Batches of calibration pictures, shape (1, h, w, c), float32,
            as the model takes them; None leaves the weights in float32.

    Returns:
        The file: `features(x) -> features`, both float32.

    Raises:
        ConversionError: If the TFLite converter gives up.
    """
    import tensorflow as tf

    shape = (1, *backbone.inputs[0].shape[1:])
    module = tf.Module()
    # Keras's variables are wrappers; without these their values would be lost.
    module.kept = [variable.value for variable in backbone.variables]

    def call(x: Any) -> dict[str, Any]:
        return {"features": backbone(x, training=False)}

    module.call = tf.function(
        call, input_signature=[tf.TensorSpec(shape, tf.float32, "x")]
    )
    with tempfile.TemporaryDirectory() as folder:
        signatures = {SIGNATURE: module.call.get_concrete_function()}
        with contextlib.redirect_stdout(io.StringIO()):
            tf.saved_model.save(module, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if representative is not None:
            samples = list(representative)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([x] for x in samples)
        return run_converter(converter, "backbone")
