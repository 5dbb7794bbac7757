"""A whole network in a SavedModel folder: the user's own, of any Keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy.architectures.safe_operators import find_unsafe
from edgedeploy.errors import WeightsError

LAYOUTS = ("saved_model", "saved_model+trusted")
FILE = "saved_model.pb"
_DEFAULT = "serving_default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A way to call a SavedModel.

    Attributes:
        name: Its key.
        shape: Of the input, without the batch; None where it may be any.
        output: Name of the output.
    """

    name: str
    shape: tuple[int | None, ...]
    output: str


def build(weights: Path, layout: str) -> Any:
    """Wrap a SavedModel's signature as a Keras network.

    Args:
        weights: The folder.
        layout: "saved_model"; with "+trusted" behind it, operators that may do more
            than compute are allowed.

    Returns:
        A keras.Model with one input and one output.

    Raises:
        WeightsError: If it cannot be loaded, or is no image network.
    """
    import keras

    signature = read_signature(weights, trusted=layout.endswith("+trusted"))
    try:
        layer = keras.layers.TFSMLayer(str(weights), call_endpoint=signature.name)
        image = keras.Input(signature.shape, name="image")
        answers = layer(image)
    except Exception as error:  # TensorFlow raises a dozen types here.
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{weights}: TensorFlow cannot load it ({first[:200]})"
        ) from error
    output = answers[signature.output] if isinstance(answers, dict) else answers
    return keras.Model(image, output)


def read_signature(folder: Path, *, trusted: bool) -> Signature:
    """Read which signature classifies, without loading the model.

    Args:
        folder: Of the SavedModel.
        trusted: Whether operators that may do more than compute are allowed.

    Raises:
        WeightsError: If there is no such signature, or an operator is not allowed.
    """
    graph = read_graph(folder)
    if not trusted:
        _refuse_unsafe(folder, graph)
    signatures = {
        name: one
        for name, one in graph.signature_def.items()
        if len(one.inputs) == 1 and len(one.outputs) == 1
    }
    name = _DEFAULT if _DEFAULT in signatures else next(iter(sorted(signatures)), None)
    if name is None:
        known = ", ".join(sorted(graph.signature_def)) or "none at all"
        raise WeightsError(
            f"{folder}: expected a signature of one input and one output, such as "
            f"{_DEFAULT}; found {known}. Export it with one"
        )
    (image,) = signatures[name].inputs.values()
    (output,) = signatures[name].outputs
    sizes = [None if dim.size < 0 else int(dim.size) for dim in image.tensor_shape.dim]
    return Signature(name=name, shape=tuple(sizes[1:]), output=output)


def read_graph(folder: Path) -> Any:
    """Read the graph to serve, without loading its variables.

    Args:
        folder: Of the SavedModel.

    Returns:
        A `MetaGraphDef`.

    Raises:
        WeightsError: If there is none.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        found = saved_model_pb2.SavedModel.FromString((folder / FILE).read_bytes())
    except (OSError, DecodeError) as error:
        raise WeightsError(f"{folder}: not a SavedModel ({error})") from error
    for graph in found.meta_graphs:
        if "serve" in graph.meta_info_def.tags:
            return graph
    raise WeightsError(f'{folder}: no graph with the tag "serve"; export it to serve')


def _refuse_unsafe(folder: Path, graph: Any) -> None:
    unsafe = find_unsafe(graph)
    if unsafe:
        more = f" and {len(unsafe) - 5} more" if len(unsafe) > 5 else ""
        raise WeightsError(
            f"{folder}: its operators {', '.join(unsafe[:5])}{more} are not known to "
            "compute only, so they might touch files or run code; --trust allows them, "
            "if you know who wrote it"
        )
