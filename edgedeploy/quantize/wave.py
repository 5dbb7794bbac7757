"""Run a network, or a part of it, over many pictures."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.formats.tflite_layout import pack_model

if TYPE_CHECKING:
    from numpy.typing import NDArray


def prepared(data: bytes, threads: int) -> Any:
    """An interpreter with its tensors allocated.

    Raises:
        QuantizationError: If the runtime does not take the model.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=data, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise QuantizationError(f"LiteRT cannot run the model ({error})") from error
    return interpreter


def scores_of(
    data: bytes, pictures: Sequence[NDArray[np.float32]], threads: int
) -> NDArray[np.float32]:
    """Run a whole classifier with float32 input and output.

    Args:
        data: A .tflite file's bytes.
        pictures: Normalised, each of shape (height, width, 3).
        threads: Threads of the interpreter.

    Returns:
        Scores, shape (pictures, classes), float32.

    Raises:
        QuantizationError: If the runtime cannot run it.
    """
    interpreter = prepared(data, threads)
    source = interpreter.get_input_details()[0]["index"]
    output = interpreter.get_output_details()[0]["index"]
    scores = []
    try:
        for picture in pictures:
            interpreter.set_tensor(source, picture[None])
            interpreter.invoke()
            scores.append(np.asarray(interpreter.get_tensor(output)).reshape(-1))
    except (ValueError, RuntimeError) as error:
        raise QuantizationError(f"LiteRT cannot run the model ({error})") from error
    return np.stack(scores)


def cut(
    model: Any, operators: Sequence[Any], sources: Sequence[int], results: Sequence[int]
) -> bytes:
    """Make a model of some of the operators.

    Args:
        model: A `ModelT`; it is left as it was.
        operators: Those to keep, in order.
        sources: Numbers of the tensors that are given.
        results: Numbers of the tensors that are wanted.

    Returns:
        A .tflite file's bytes; tensors keep their numbers.
    """
    graph = copy.copy(model.subgraphs[0])
    graph.operators = list(operators)
    graph.inputs = np.array(sources, np.int32)
    graph.outputs = np.array(results, np.int32)
    read = {
        graph.tensors[int(t)].buffer
        for operator in operators
        for t in operator.inputs
        if t >= 0
    }
    piece = copy.copy(model)
    piece.subgraphs, piece.signatureDefs = [graph], []
    # Weights that the piece does not read would be packed for nothing.
    piece.buffers = [
        buffer if number in read else _without_data(buffer)
        for number, buffer in enumerate(model.buffers)
    ]
    return pack_model(piece)


def _without_data(buffer: Any) -> Any:
    empty = copy.copy(buffer)
    empty.data = None
    return empty
