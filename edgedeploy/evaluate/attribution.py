"""Which layers of a quantised network add the error: noise, tensor by tensor.

Both networks answer the same pictures with every tensor kept, and each tensor of the
quantised one is held against float32's as a signal with noise:

    SNR = 10 log10(sum of x² / sum of (x - q)²), in dB.

What a layer adds itself is the noise at its output less that at its noisiest input,
both as shares of the signal: it is passed on in about that proportion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EvaluationError
from edgedeploy.isolate import Progress, run_isolated, silent
from edgedeploy.ondevice.contract import ImagePipeline, normalise, quantise
from edgedeploy.ondevice.delegation import observe_delegation
from edgedeploy.ondevice.installed import load_runtime
from edgedeploy.ondevice.pictures import prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The operators that change how numbers are written down, and nothing else.
_CASTS = ("QUANTIZE", "DEQUANTIZE")
# Those whose weights a recipe could leave at a higher precision.
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
KEPT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One operator's output in both networks.

    Attributes:
        name: The layer, as far as the tensor's name tells it.
        operator: The operator's name.
        tensor: The tensor's name in the float network.
        snr_db: Signal-to-noise at its output; None where there is no noise at all.
        input_snr_db: The same at its noisiest input.
        own_noise: Noise that it adds, as a share of the signal, 0 or more.
    """

    name: str
    operator: str
    tensor: str
    snr_db: float | None
    input_snr_db: float | None
    own_noise: float


def attribute_error(
    reference: Path,
    variant: Path,
    pictures: Sequence[Path],
    *,
    pipeline: ImagePipeline,
    runtime: str,
    what: str,
    progress: Progress = silent,
) -> tuple[Layer, ...]:
    """Measure the noise of every tensor of a quantised network.

    Args:
        reference: The float network, a .tflite file.
        variant: The quantised one, made of the same network.
        pictures: Picture files; a dozen is enough.
        pipeline: The contract.
        runtime: A runtime's name; XNNPACK is left out, since it keeps no tensors.
        what: Subject of an error message, such as "attributing int8".
        progress: Told how many pictures are done.

    Returns:
        The operators in the order of execution.

    Raises:
        EvaluationError: If the two cannot be matched, or a network cannot be run.
        IsolatedError: If the runtime crashed.
    """
    found = run_isolated(
        "edgedeploy.evaluate.attribution:run_attribution",
        {
            "reference": str(reference),
            "variant": str(variant),
            "pictures": [str(path) for path in pictures],
            "pipeline": pipeline.to_dict(),
            "runtime": runtime,
        },
        what=what,
        progress=progress,
    )
    return tuple(Layer(**layer) for layer in found)


def run_attribution(
    *,
    progress: Progress,
    reference: str,
    variant: str,
    pictures: Sequence[str],
    pipeline: Mapping[str, Any],
    runtime: str,
) -> list[dict[str, Any]]:
    """Be the child of `attribute_error`; arguments are its own as JSON values."""
    contract = ImagePipeline.from_dict(pipeline)
    before, after = _Kept(reference, runtime), _Kept(variant, runtime)
    pairs = match_operators(before.operators, after.operators)
    if not pictures or not pairs:
        raise EvaluationError(
            f"{variant}: nothing to compare: {len(pictures)} pictures, {len(pairs)} "
            f"operators in common with {reference}"
        )
    signal, noise = np.zeros(len(pairs)), np.zeros(len(pairs))
    for done, picture in enumerate(pictures, start=1):
        rgb = prepare(picture, contract)
        before.run(rgb, contract)
        after.run(rgb, contract)
        for number, (one, other) in enumerate(pairs):
            x, q = before.read(one.output), after.read(other.output)
            signal[number] += float(np.sum(x * x))
            noise[number] += float(np.sum((x - q) ** 2))
        progress(done, len(pictures))
    return [asdict(layer) for layer in _layers(pairs, signal, noise)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator of a network.

    Attributes:
        kind: Its name.
        output: Number of its first output.
        inputs: Numbers of its inputs.
        tensor: The output's name.
    """

    kind: str
    output: int
    inputs: tuple[int, ...]
    tensor: str


def match_operators(
    reference: Sequence[Operator], variant: Sequence[Operator]
) -> list[tuple[Operator, Operator]]:
    """Find the operators that two files of one network have in common.

    Without the casts both lists are the same as a rule, and are matched in order; where
    a converter fused otherwise, by the names of their outputs.

    Args:
        reference: The float network's operators, in order.
        variant: The quantised one's.
    """
    ours = [one for one in reference if one.kind not in _CASTS]
    theirs = [one for one in variant if one.kind not in _CASTS]
    if [one.kind for one in ours] == [one.kind for one in theirs]:
        return list(zip(ours, theirs, strict=True))
    by_name = {one.tensor: one for one in theirs}
    return [
        (one, by_name[one.tensor])
        for one in ours
        if one.tensor in by_name and by_name[one.tensor].kind == one.kind
    ]


def worst_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers with weights that add most noise, the worst first.

    Args:
        layers: As `attribute_error` gives them.

    Returns:
        At most `KEPT`; those to keep in higher precision first.
    """
    weighted = [one for one in layers if one.operator in WEIGHTED and one.own_noise]
    return tuple(sorted(weighted, key=lambda one: -one.own_noise)[:KEPT])


def name_layer(tensor: str) -> str:
    """Find the layer's name in a tensor's: converters join all that they fused.

    Args:
        tensor: Such as "net/relu/Relu6;net/bn/add;net/conv_stem/convolution".

    Returns:
        Such as "net/conv_stem".
    """
    parts = tensor.split(";")
    for part in parts:
        head, _, last = part.rpartition("/")
        if head and last.lower() in ("convolution", "depthwise", "matmul", "conv2d"):
            return head
    return parts[0]


class _Kept:
    """A network that keeps every tensor."""

    def __init__(self, path: str, runtime: str) -> None:
        self._path = path
        module = load_runtime(runtime)
        try:
            self._interpreter = module.Interpreter(
                model_path=path,
                num_threads=1,
                experimental_op_resolver_type=(
                    module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                ),
                experimental_preserve_all_tensors=True,
            )
            self._interpreter.allocate_tensors()
            details = self._interpreter.get_tensor_details()
            listed = self._interpreter._get_ops_details()
            blockwise = observe_delegation(self._interpreter).blockwise
        except (ValueError, RuntimeError, AttributeError) as error:
            raise EvaluationError(
                f"{path}: {runtime} cannot keep its tensors ({error})"
            ) from error
        if blockwise:
            raise EvaluationError(
                f"{path}: its tensors cannot be kept: {blockwise} layers have a step "
                "for every few weights, which only XNNPACK computes rightly. Leave it "
                "out of --recipes, or make it with --prefer fastest"
            )
        self._tensors = {int(one["index"]): one for one in details}
        self._input = self._interpreter.get_input_details()[0]
        self.operators = tuple(self._operator(one) for one in listed)

    def run(self, rgb: NDArray[np.uint8], pipeline: ImagePipeline) -> None:
        """Answer one picture, shape (height, width, 3), uint8."""
        scale, zero_point = self._input["quantization"]
        values = (
            quantise(
                rgb,
                pipeline,
                dtype=np.dtype(self._input["dtype"]).name,
                scale=float(scale),
                zero_point=int(zero_point),
            )
            if scale
            else normalise(rgb, pipeline)
        )
        try:
            self._interpreter.set_tensor(self._input["index"], values[None])
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise EvaluationError(
                f"{self._path}: LiteRT cannot run the model ({error})"
            ) from error

    def read(self, tensor: int) -> NDArray[np.float64]:
        """Give a tensor's real values, flat."""
        values = np.asarray(self._interpreter.get_tensor(tensor), np.float64).ravel()
        scale, zero_point = self._tensors[tensor]["quantization"]
        return (values - zero_point) * scale if scale else values

    def _operator(self, listed: Mapping[str, Any]) -> Operator:
        output = int(listed["outputs"][0])
        return Operator(
            kind=str(listed["op_name"]),
            output=output,
            inputs=tuple(int(number) for number in listed["inputs"]),
            tensor=str(self._tensors[output]["name"]),
        )


def _layers(
    pairs: Sequence[tuple[Operator, Operator]],
    signal: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> list[Layer]:
    share = np.divide(noise, signal, out=np.zeros_like(noise), where=signal > 0)
    # A picture that is quantised on the way in has noise too, but no operator of both
    # networks made it; it counts to the first layer.
    known = {one.output: float(share[number]) for number, (one, _) in enumerate(pairs)}
    layers = []
    for number, (one, _) in enumerate(pairs):
        before = max((known.get(tensor, 0.0) for tensor in one.inputs), default=0.0)
        layers.append(
            Layer(
                name=name_layer(one.tensor),
                operator=one.kind,
                tensor=one.tensor,
                snr_db=_decibels(float(share[number])),
                input_snr_db=_decibels(before),
                own_noise=max(0.0, float(share[number]) - before),
            )
        )
    return layers


def _decibels(share: float) -> float | None:
    return -10 * math.log10(share) if share > 0 else None
