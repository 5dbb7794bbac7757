"""One network with its contract: 8-bit pictures to rows of real scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.feeding import tensor_filler
from edgedeploy.ondevice.contract import ContractError, ImagePipeline
from edgedeploy.ondevice.neighbours import NeighbourTable, read_array
from edgedeploy.ondevice.runtime import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Scorer:
    """A network that answers one picture after the other, on one thread.

    Several of them side by side do more than one with as many threads: nothing waits
    for the slowest part of an operator. One thread also gives one order of sums.

    Args:
        model: A .tflite file, or its bytes.
        pipeline: The contract.
        runtime: A runtime's name.
        operators: Shared libraries of the operators that the model needs.
        neighbours: As `engine.score_pictures` takes them.
        name: The model's name in messages; its path where there is one.

    Attributes:
        classes: Number of scores of a row.
        delegate: "XNNPACK" or "none".
        fallback: As of `ondevice.runtime.Model`.

    Raises:
        EvaluationError: If the model cannot be loaded or does not fit the contract.
    """

    def __init__(
        self,
        model: Path | bytes,
        *,
        pipeline: ImagePipeline,
        runtime: str,
        operators: Sequence[Path] = (),
        neighbours: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> None:
        self._name = name or str(model)
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._network = Model(source, runtime=runtime, operators=operators)
        except ContractError as error:
            raise EvaluationError(str(error)) from error
        expected = (pipeline.height, pipeline.width, 3)
        if self._network.input.shape[1:] != expected:
            raise EvaluationError(
                f"{self._name}: takes {self._network.input.shape}, but the contract "
                f"gives {(1, *expected)}; mend width and height in the pipeline"
            )
        self._fill = tensor_filler(pipeline, self._network.input)
        self._table = _table(neighbours) if neighbours else None
        outputs = int(np.prod(self._network.output.shape[1:]))
        self.classes = int(neighbours["labels"]) if neighbours else outputs
        self.delegate = self._network.delegate
        self.fallback = self._network.fallback

    def score(self, rgb: NDArray[np.uint8], picture: str) -> NDArray[np.float32]:
        """Answer a picture.

        Args:
            rgb: Shape (height, width, 3), uint8, RGB.
            picture: Its name, for messages.

        Returns:
            Shape (classes,), float32, real values.

        Raises:
            EvaluationError: If the answer is not a number, which would win every
                comparison.
        """
        try:
            answer = self._network.run(lambda target: self._fill(rgb, target))
        except ContractError as error:
            raise EvaluationError(f"{self._name}: {error}") from error
        scores = self._network.real(answer)
        if not np.isfinite(scores).all():
            raise EvaluationError(
                f"{self._name}: the answer to {picture} is not a number; the "
                "arithmetic overflows, so leave this recipe out"
            )
        rows = self._table.scores(scores) if self._table else scores
        return np.asarray(rows[0])


def _table(neighbours: Mapping[str, Any]) -> NeighbourTable:
    return NeighbourTable(
        read_array(Path(neighbours["vectors"])),
        read_array(Path(neighbours["classes"])),
        metric=neighbours["metric"],
        k=neighbours["k"],
        labels=neighbours["labels"],
    )
