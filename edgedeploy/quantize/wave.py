"""A network that is run piece by piece over many pictures at once.

To solve a layer one wants its inputs in the network whose earlier layers are solved
already. Running from the start for every layer would cost the square of the depth, so
the values at the cut are kept instead, and only the next operators are run.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.formats.tflite_layout import pack_model

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Wave:
    """The state of a network part-way, for every picture.

    Args:
        model: A `ModelT` with one input.
        pictures: Normalised, each of shape (height, width, 3).
        threads: Threads of the interpreter.
    """

    def __init__(
        self, model: Any, pictures: Sequence[NDArray[np.float32]], threads: int
    ) -> None:
        self._threads = threads
        self._at = 0
        source = int(model.subgraphs[0].inputs[0])
        self._state = {source: [_kept(picture[None]) for picture in pictures]}
        self._count = len(pictures)

    def advance(self, model: Any, until: int) -> None:
        """Run the operators that come before one.

        Args:
            model: The network; weights of operators not yet run may have changed.
            until: Number of the operator to stop at; as many as there are to end.

        Raises:
            QuantizationError: If the runtime cannot run a piece.
        """
        graph = model.subgraphs[0]
        piece = graph.operators[self._at : until]
        self._at = max(self._at, until)
        if not piece:
            return
        later = {int(t) for t in graph.outputs}
        for operator in graph.operators[until:]:
            later.update(int(t) for t in operator.inputs)
        reads = {int(t) for operator in piece for t in operator.inputs}
        makes = {int(t) for operator in piece for t in operator.outputs}
        sources = sorted(reads & self._state.keys())
        results = sorted(makes & later)
        made = self._run(cut(model, piece, sources, results), sources, results)
        self._state = {
            tensor: values
            for tensor, values in {**self._state, **made}.items()
            if tensor in later
        }

    def read(self, tensor: int, picture: int) -> NDArray[np.float32]:
        """A tensor's values for one picture, with its batch axis, float32."""
        return np.asarray(self._state[tensor][picture], np.float32)

    def _run(
        self, data: bytes, sources: Sequence[int], results: Sequence[int]
    ) -> dict[int, list[NDArray[Any]]]:
        interpreter = prepared(data, self._threads)
        made: dict[int, list[NDArray[Any]]] = {tensor: [] for tensor in results}
        try:
            for picture in range(self._count):
                for tensor in sources:
                    values = self._state[tensor][picture]
                    if values.dtype == np.float16:
                        values = values.astype(np.float32)
                    interpreter.set_tensor(tensor, values)
                interpreter.invoke()
                for tensor in results:
                    made[tensor].append(_kept(interpreter.get_tensor(tensor)))
        except (ValueError, RuntimeError) as error:
            raise QuantizationError(
                f"LiteRT cannot run a piece of the network ({error})"
            ) from error
        return made


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


def _kept(values: NDArray[Any]) -> NDArray[Any]:
    # Half precision is far finer than the errors looked for, and halves the memory.
    if values.dtype != np.float32:
        return values
    return np.asarray(np.clip(values, -65504, 65504), np.float16)


def _without_data(buffer: Any) -> Any:
    empty = copy.copy(buffer)
    empty.data = None
    return empty
