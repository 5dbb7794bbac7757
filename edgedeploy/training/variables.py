"""State that outlives an invocation: resource variables, and what first fills them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.training import ops
from edgedeploy.training.graph import Graph, ModelFile, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Variables:
    """The variables of a model file.

    Args:
        file: The file.
        initial: First values by name; arrays of zeros take no room in the file.
    """

    def __init__(self, file: ModelFile, initial: Mapping[str, NDArray[Any]]) -> None:
        self._file = file
        self._initial = dict(initial)
        self._once: Graph | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order given."""
        return tuple(self._initial)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a variable."""
        return self._initial[name].shape

    def dtype(self, name: str) -> str:
        """Dtype of a variable."""
        return self._initial[name].dtype.name

    def finish(self) -> None:
        """Add the subgraph that runs once, before anything else; call this last."""
        if self._once is not None:
            self.fill(self._once)

    def fill(self, graph: Graph) -> None:
        """Write the first values into the variables."""
        for name, array in self._initial.items():
            if array.dtype == np.float32 and not array.any():
                value = ops.fill(graph, array.shape, 0.0)
            else:
                value = graph.constant(array)
            self.assign(graph, name, value)

    def prepare(self, graph: Graph) -> None:
        """Make sure that the first values are there before a subgraph goes on."""
        if self._once is None:
            self._once = self._file.graph("fill_once")
        number = self._file.number_of(self._once)
        graph.operator(
            "CALL_ONCE", (), (), ("CallOnceOptions", {"initSubgraphIndex": number})
        )

    def read(self, graph: Graph, name: str) -> Value:
        """Read a variable."""
        out = graph.value(self.shape(name), self.dtype(name))
        graph.operator(
            "READ_VARIABLE",
            (self._handle(graph, name),),
            (out,),
            ("ReadVariableOptions", {}),
        )
        return out

    def assign(self, graph: Graph, name: str, value: Value) -> None:
        """Change a variable."""
        graph.operator(
            "ASSIGN_VARIABLE",
            (self._handle(graph, name), value),
            (),
            ("AssignVariableOptions", {}),
        )

    @staticmethod
    def _handle(graph: Graph, name: str) -> Value:
        out = graph.value((), "resource")
        graph.operator(
            "VAR_HANDLE",
            (),
            (out,),
            ("VarHandleOptions", {"container": "", "sharedName": name}),
        )
        return out
