"""A float32 .tflite network as a TensorFlow function, so that it has gradients.

Made from the file itself: its operators keep their numbers, and it works for networks
of which nothing else is there. Operators: TensorFlow Lite's schema.fbs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgedeploy.errors import FormatError, QuantizationError
from edgedeploy.formats.tflite import MALFORMED, names_by_value
from edgedeploy.quantize.finetune.operators import RULES, Call, Constants
from edgedeploy.quantize.layers import Layer, operator_code

Kernels = Mapping[int, tuple[Any, Any]]
"""Weights as a (rows, columns) tensor and the bias, by operator number."""


class Graph:
    """One network; calling it runs a batch of pictures.

    Args:
        model: The float32 `ModelT`.
        layers: Those whose weights are given with each call.

    Raises:
        QuantizationError: If it has an operator that is not known here.
        FormatError: If an operator contradicts itself.
    """

    def __init__(self, model: Any, layers: Mapping[int, Layer]) -> None:
        from ai_edge_litert.schema_py_generated import BuiltinOperator

        self._model = model
        self._graph = model.subgraphs[0]
        self._constants = Constants(model)
        self._layers = layers
        self._names = names_by_value(BuiltinOperator)
        self._source = int(self._graph.inputs[0])
        self._result = int(self._graph.outputs[0])
        try:
            self._order = self._needed()
        except MALFORMED as error:
            raise FormatError(
                f"the network's operators cannot be followed: {error}"
            ) from error
        unknown = sorted({self._name(number) for number in self._order} - set(RULES))
        if unknown:
            raise QuantizationError(
                f"--finetune cannot differentiate {', '.join(unknown)}; it knows "
                f"{', '.join(sorted(RULES))}. Leave --finetune out"
            )

    def __call__(self, pictures: Any, kernels: Kernels) -> tuple[Any, dict[int, Any]]:
        """Run a batch.

        Args:
            pictures: Shape (pictures, height, width, 3), float32, normalised.
            kernels: Of every layer.

        Returns:
            Scores, shape (pictures, classes), and each layer's output by operator
            number.
        """
        known = {self._source: pictures}
        seen = {}
        for number in self._order:
            operator = self._graph.operators[number]
            call = Call(
                self._constants,
                operator,
                known,
                self._layers.get(number),
                kernels.get(number),
            )
            made = RULES[self._name(number)](call)
            known[int(operator.outputs[0])] = made
            if call.layer is not None:
                seen[number] = made
        return known[self._result], seen

    def _name(self, number: int) -> str:
        code = operator_code(self._model, self._graph.operators[number])
        return self._names.get(code, f"operator {code}")

    def _needed(self) -> list[int]:
        """The operators that the result rests on, in the order in which they run."""
        wanted, order = {self._result}, []
        for number in range(len(self._graph.operators) - 1, -1, -1):
            operator = self._graph.operators[number]
            if not wanted & {int(tensor) for tensor in operator.outputs}:
                continue
            order.append(number)
            inputs = [int(tensor) for tensor in operator.inputs]
            # The shape that a RESHAPE works out is in the file as well.
            wanted.update(inputs[:1] if self._name(number) == "RESHAPE" else inputs)
        return order[::-1]
