"""A few hundred steps towards the float32 network's answers and layers.

Distillation: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network". That
the layers' outputs shall agree as well is FitNets' idea (Romero et al. 2015); it says
far more of each picture than a thousand probabilities do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.ondevice.contract import ImagePipeline, normalise
from edgedeploy.quantize.finetune.graph import Graph
from edgedeploy.quantize.finetune.student import Student
from edgedeploy.quantize.layers import Layer, bias_of, weights_of
from edgedeploy.quantize.views import views
from edgedeploy.quantize.write import SolvedLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 11
# At twice this the KL of a variant that was near float32 already grew by a twelfth.
_RATE = 5e-4
_WARMUP = 0.05
# Few steps: the second moment has to settle within some dozens of them.
_SECOND = 0.99
# Mean relative error of the layers' outputs, against nats of the answers.
_LAYERS_WEIGHT = 10.0
_TINY = 1e-7
# Pictures that gradients are taken of at once: they hold every layer's outputs.
_PART = 2
# LiteRT and TensorFlow add up in other orders; a wrong operator is off by far more.
_TOLERANCE = 2e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how much at once.

    Attributes:
        steps: Steps of the optimiser.
        batch: Pictures of a step.
    """

    steps: int
    batch: int


def train(
    model: Any,
    layers: Sequence[Layer],
    solved: Sequence[SolvedLayer],
    widths: Mapping[int, float],
    pictures: Sequence[NDArray[np.uint8]],
    pipeline: ImagePipeline,
    *,
    checked: tuple[NDArray[np.float32], NDArray[np.float32]],
    schedule: Schedule,
    tick: Callable[[], None],
) -> list[SolvedLayer]:
    """Move steps, biases and 8-bit weights so that the answers come nearer.

    Args:
        model: The float32 `ModelT`.
        layers: Its layers.
        solved: The same, solved.
        widths: Bits of their grids, by operator number.
        pictures: Prepared, shape (height, width, 3), uint8; no labels.
        pipeline: The contract.
        checked: A normalised picture and what LiteRT answers to it, against which
            the TensorFlow form of the network is held.
        schedule: How long.
        tick: Called after each step.

    Returns:
        The layers as they are in the end, on their grids.

    Raises:
        QuantizationError: If the network cannot be followed, or the loss is no number.
    """
    graph = Graph(model, {layer.operator: layer for layer in layers})
    teacher = {x.operator: (weights_of(model, x), bias_of(model, x)) for x in layers}
    _check(graph, teacher, *checked)
    batches = _Batches(pictures, pipeline, schedule.batch)
    student = Student(solved, widths, _deviations(graph, teacher, batches.draw()))
    step = _make_step(graph, teacher, student, schedule)
    for _ in range(schedule.steps):
        loss = step(batches.draw())
        if not np.isfinite(loss):
            raise QuantizationError(
                "fine-tuning led nowhere: the loss is no number. Leave --finetune out"
            )
        tick()
    return student.solved()


def settle_tensorflow(threads: int) -> None:
    """Make TensorFlow give the same numbers each time, in a process of its own.

    Args:
        threads: That one operator may use.
    """
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()


def _check(
    graph: Graph,
    teacher: Mapping[int, tuple[Any, Any]],
    picture: NDArray[np.float32],
    wanted: NDArray[np.float32],
) -> None:
    found = np.asarray(graph(picture[None], teacher)[0]).reshape(-1)
    off = np.abs(found - wanted).max() if found.shape == wanted.shape else np.inf
    if not off <= _TOLERANCE:
        raise QuantizationError(
            "--finetune: TensorFlow's form of the network answers otherwise than "
            f"LiteRT (off by {off:.2g}). Leave --finetune out"
        )


class _Batches:
    """Views of pictures, in an order that only the seed decides."""

    def __init__(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        pipeline: ImagePipeline,
        size: int,
    ) -> None:
        self._pictures = pictures
        self._pipeline = pipeline
        self._size = size
        self._random = np.random.default_rng(SEED)
        self._order: list[int] = []

    def draw(self) -> NDArray[np.float32]:
        """Give the next batch, shape (size, height, width, 3)."""
        return np.stack([self._view() for _ in range(self._size)])

    def _view(self) -> NDArray[np.float32]:
        if not self._order:
            self._order = self._random.permutation(len(self._pictures)).tolist()
        picture = self._pictures[self._order.pop()]
        # The second view is a mirrored crop, the third one is not mirrored.
        which = int(self._random.integers(0, 3))
        seed = int(self._random.integers(0, 2**31))
        *_, view = views([picture], which + 1, seed)
        return normalise(view, self._pipeline)


def _deviations(
    graph: Graph,
    teacher: Mapping[int, tuple[Any, Any]],
    pictures: NDArray[np.float32],
) -> dict[int, NDArray[np.float32]]:
    """Standard deviation of each output channel of each layer."""
    _, seen = graph(pictures, teacher)
    found = {}
    for operator, values in seen.items():
        flat = np.asarray(values).reshape(-1, values.shape[-1])
        each = flat.std(axis=0)
        # A channel that these few pictures leave silent may speak on others.
        found[operator] = np.maximum(each, 0.1 * each.mean()).astype(np.float32)
    return found


def _make_step(
    graph: Graph,
    teacher: Mapping[int, tuple[Any, Any]],
    student: Student,
    schedule: Schedule,
) -> Callable[[NDArray[np.float32]], float]:
    import tensorflow as tf

    warmup = max(1, int(_WARMUP * schedule.steps))
    rate = tf.keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, schedule.steps - warmup),
        warmup_target=_RATE,
        warmup_steps=warmup,
    )
    optimizer = tf.keras.optimizers.Adam(rate, beta_2=_SECOND)
    variables = student.variables
    optimizer.build(variables)

    @tf.function  # type: ignore[untyped-decorator]
    def slope(pictures: Any) -> Any:
        answers, seen = graph(pictures, teacher)
        with tf.GradientTape() as tape:
            tried, shown = graph(pictures, student.kernels())
            apart = tf.math.log(answers + _TINY) - tf.math.log(tried + _TINY)
            divergence = tf.reduce_mean(tf.reduce_sum(answers * apart, axis=-1))
            errors = [
                tf.reduce_mean(tf.square(seen[one] - shown[one]))
                / (tf.math.reduce_variance(seen[one]) + _TINY)
                for one in seen
            ]
            loss = divergence + _LAYERS_WEIGHT * tf.add_n(errors) / len(errors)
        zero = tf.UnconnectedGradients.ZERO
        return loss, tape.gradient(loss, variables, unconnected_gradients=zero)

    def step(pictures: NDArray[np.float32]) -> float:
        # What a gradient holds on to grows with the pictures that it is taken of.
        parts = [pictures[at : at + _PART] for at in range(0, len(pictures), _PART)]
        losses, sums = [], [tf.zeros_like(one) for one in variables]
        for part in parts:
            loss, gradients = slope(tf.constant(part))
            losses.append(float(loss))
            share = len(part) / len(pictures)
            sums = [x + share * y for x, y in zip(sums, gradients, strict=True)]
        optimizer.apply_gradients(zip(sums, variables, strict=True))
        return float(np.mean(losses))

    return step
