"""One network's way from layers to measured assignments of widths."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.formats.tflite_layout import pack_model, remove_metadata_front
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.host import usable_cores
from edgedeploy.quantize.candidates import (
    MOST_CANDIDATES,
    Candidate,
    deflated_size,
    describe_frontier,
    find_candidates,
    layer_options,
    widest_within,
)
from edgedeploy.quantize.evidence import Evidence
from edgedeploy.quantize.finetune.graph import Graph
from edgedeploy.quantize.finetune.tune import STEPS, Tuned, TuningPictures, tune
from edgedeploy.quantize.latency import latency_key, measure_latencies
from edgedeploy.quantize.layers import (
    copy_model,
    read_float_model,
    set_layer,
    weight_layers,
)
from edgedeploy.quantize.remember import Solutions, keep_costs, remembered_costs
from edgedeploy.quantize.search import can_be_narrow
from edgedeploy.quantize.solve import BLOCKED, NARROW, WIDE, can_be_blocked
from edgedeploy.quantize.solve_network import solve_network
from edgedeploy.quantize.write import write_solved
from edgedeploy.workspace import code_digest, json_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

# From here on a network gets fewer views of the pictures, so that it ends in time.
_LARGE = 8_000_000
# Codes of 5 to 7 bits take a byte on disk, and deflate to about their width.
# Blocks are somewhat slower, and right in XNNPACK's kernels alone; what else is slower
# than 8 bits is measured.
_WIDTHS: dict[str, tuple[float, ...]] = {
    "smallest": (WIDE, BLOCKED, NARROW),
    "smallest-download": (WIDE, 7, 6, 5, BLOCKED, NARROW),
    "fastest": (WIDE, NARROW),
}
# Two runs of one layer differ by a few hundredths.
_SLOWER = 1.05


class Job:
    """One network with its pictures.

    Attributes:
        price: What shall be small: bytes on disk, or bytes to download.
    """

    def __init__(
        self,
        data: bytes,
        pictures: Sequence[NDArray[np.uint8]],
        pipeline: ImagePipeline,
        prefer: str,
        progress: Progress,
        *,
        narrow: bool,
        tuned: bool,
    ) -> None:
        """Read the network, and let float32 answer.

        Args:
            data: The float32 .tflite file's bytes.
            pictures: Prepared calibration pictures, each of shape (height, width, 3).
            pipeline: The contract.
            prefer: "smallest", "smallest-download" or "fastest".
            progress: Told how many steps are done, and the frontier so far.
            narrow: Whether any layer may get fewer than 8 bits.
            tuned: Whether fine-tuning will follow.

        Raises:
            QuantizationError: If it cannot be solved, or not be tuned.
        """
        self._pipeline = pipeline
        self._data = remove_metadata_front(data)
        self._model = read_float_model(self._data)
        if tuned:
            # What cannot be trained is named now, not after minutes of search.
            Graph(self._model, {})
        self._layers = weight_layers(self._model)
        self.price = deflated_size if prefer == "smallest-download" else len
        self._threads = min(2, usable_cores())
        self._evidence = Evidence(
            self._data,
            pictures,
            pipeline,
            large=sum(layer.count for layer in self._layers) > _LARGE,
            threads=self._threads,
        )
        self._narrow = [x for x in self._layers if narrow and can_be_narrow(x)]
        all_widths = _WIDTHS[prefer]
        self._widths: dict[int, tuple[float, ...]] = {
            layer.operator: tuple(
                width
                for width in all_widths
                if width != BLOCKED or can_be_blocked(layer)
            )
            for layer in self._narrow
        }
        self._done = 0
        self._total = (
            len(self._evidence.solving) + 2 * len(self._layers) + MOST_CANDIDATES
        )
        self._total += STEPS if tuned else 0
        # What one layer costs differs between a scaled network and one that is not.
        self._scale = prefer != "smallest-download"
        self._progress = progress
        self._so_far = ""

    def solutions(self, memory: Path) -> Solutions:
        """Solve every layer with every width that it may get, scaled to suit it."""
        wanted = [
            (layer, width)
            for layer in self._layers
            for width in self._widths.get(layer.operator, (WIDE,))
        ]
        widths = [width for _, width in wanted]
        path = memory / f"solved-{self._key(self._evidence.solving, *widths)}.npz"
        found = solve_network(
            self._model,
            self._layers,
            wanted,
            self._evidence.solving,
            scale=self._scale,
            threads=self._threads,
            memory=path,
            tick=self._tick,
        )
        self._model = found.model
        return found.solutions

    def latencies(self, solutions: Solutions) -> dict[str, float]:
        """Measure how long layers take with few bits, against 8."""
        return measure_latencies(self._model, self._narrow, solutions)

    def leave_out_slower(self, latencies: Mapping[str, float]) -> None:
        """Take no width that is slower than 8 bits."""
        for layer in self._narrow:
            self._widths[layer.operator] = tuple(
                width
                for width in self._widths[layer.operator]
                if latencies.get(latency_key(layer.operator, width), 1.0) <= _SLOWER
            )
        self._narrow = [x for x in self._narrow if len(self._widths[x.operator]) > 1]

    def costs(self, memory: Path, solutions: Solutions) -> dict[int, float]:
        """Measure what 4 bits in each layer alone do to the answers."""
        seen = [*self._evidence.solving, *self._evidence.judging]
        path = memory / f"costs-{self._key(seen, self._scale)}.json"
        known = remembered_costs(path)
        for layer in self._narrow:
            if str(layer.operator) not in known:
                one = solutions[layer.operator, NARROW].solved
                changed = copy_model(self._model)
                set_layer(changed, layer, one.weights(), one.bias)
                cost = self._evidence.cost(pack_model(changed))
                known[str(layer.operator)] = cost
                # Kept one by one: whoever is interrupted goes on from here.
                keep_costs(path, known)
            self._tick()
        return {x.operator: known[str(x.operator)] for x in self._narrow}

    def candidates(
        self, solutions: Solutions, costs: Mapping[int, float], max_drop: float
    ) -> list[Candidate]:
        """Measure a few assignments around the budget; all-int8 where none fits."""
        made: list[Candidate] = []

        def make(bits: Mapping[int, float]) -> Candidate:
            made.append(self._measured(solutions, bits))
            self._so_far = describe_frontier(made, max_drop)
            self._tick()
            return made[-1]

        options = layer_options(solutions, costs, self._widths, self.price)
        return find_candidates(self._layers, options, max_drop, make)

    def within(
        self, solutions: Solutions, costs: Mapping[int, float], max_size: int
    ) -> Candidate | None:
        """Measure the best that a size allows; None where nothing is so small."""
        bits = widest_within(
            self._layers,
            layer_options(solutions, costs, self._widths, len),
            max_size,
            lambda bits: len(self._written(solutions, bits)),
        )
        return None if bits is None else self._measured(solutions, bits)

    def _written(self, solutions: Solutions, bits: Mapping[int, float]) -> bytes:
        return write_solved(self._model, [solutions[x].solved for x in bits.items()])

    def _measured(self, solutions: Solutions, bits: Mapping[int, float]) -> Candidate:
        data = self._written(solutions, bits)
        found = self._evidence.closeness(data)
        return Candidate(data=data, bits=bits, closeness=found)

    def tuned(
        self, chosen: Candidate, solutions: Solutions, pictures: TuningPictures
    ) -> Tuned:
        """Fine-tune what was chosen; what came of it is kept only if it is better."""
        return tune(
            self._model,
            self._layers,
            [solutions[one].solved for one in chosen.bits.items()],
            chosen.bits,
            pictures,
            self._pipeline,
            original=self._data,
            solution=chosen.data,
            choosing=self._evidence.choosing,
            threads=self._threads,
            tick=self._tick,
        )

    def _key(self, pictures: Sequence[NDArray[np.float32]], *more: float) -> str:
        digests = [zlib.crc32(picture.tobytes()) for picture in pictures]
        inputs = [code_digest("quantize"), zlib.crc32(self._data), *digests, *more]
        return json_digest(inputs)[:16]

    def _tick(self, steps: int = 1) -> None:
        self._done = min(self._done + steps, self._total)
        self._progress(self._done, self._total, self._so_far)
