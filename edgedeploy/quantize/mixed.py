"""The recipe int4_mixed: a float32 .tflite file and pictures in, few bits out.

Runs in a child process, since it drives the native runtime. Nothing but calibration
pictures is read: three quarters of them solve the layers, the rest choose.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.formats.tflite_layout import pack_model, remove_metadata_front
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.host import usable_cores
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.quantize.candidates import (
    MOST_CANDIDATES,
    Candidate,
    deflated_size,
    describe_frontier,
    find_candidates,
    layer_options,
    widest_within,
)
from edgedeploy.quantize.cost import Cost
from edgedeploy.quantize.evidence import Evidence, border_of
from edgedeploy.quantize.finetune.graph import Graph
from edgedeploy.quantize.finetune.tune import (
    STEPS,
    Tuned,
    TuningPictures,
    read_pictures,
    tune,
)
from edgedeploy.quantize.latency import latency_key, measure_latencies
from edgedeploy.quantize.layers import (
    copy_model,
    read_float_model,
    set_layer,
    weight_layers,
)
from edgedeploy.quantize.remember import (
    Solutions,
    keep_costs,
    remembered_costs,
)
from edgedeploy.quantize.search import can_be_narrow
from edgedeploy.quantize.solve import (
    BLOCKED,
    NARROW,
    WIDE,
    can_be_blocked,
)
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


def mix_variant(
    *,
    progress: Progress,
    model: str,
    pipeline: Mapping[str, Any],
    calibration: Sequence[str],
    max_drop: float,
    max_size: int,
    prefer: str,
    memory: str,
    out: str,
    finetune: Sequence[str] = (),
    latencies: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Make a variant of 4- and 8-bit layers; runs in a child process.

    Args:
        progress: Told how many steps are done.
        model: Path of the float32 .tflite file.
        pipeline: The contract, as JSON values.
        calibration: Paths of calibration pictures.
        max_drop: Budget of the predicted loss of top-1, a fraction.
        max_size: Largest file in bytes, or 0 for any.
        prefer: "smallest", "smallest-download" or "fastest".
        memory: Folder where layer costs are kept for other budgets and reruns.
        out: Where the .tflite bytes go.
        finetune: Paths of pictures to fine-tune with, or none.
        latencies: What "fastest" measured before, so that it chooses the same again.

    Returns:
        What was chosen, every candidate, a note where 4 bits did not fit at all,
        what fine-tuning came to, the layers' latencies, and the cost of it all.

    Raises:
        QuantizationError: If the network cannot be solved, or nothing is small enough.
    """
    cost = Cost()
    contract = ImagePipeline.from_dict(pipeline)
    border = border_of(len(calibration))
    solving, choosing = calibration[:border], calibration[border:]
    learning = finetune and read_pictures(
        finetune, contract, solving=solving, choosing=choosing
    )
    job = _Job(
        Path(model).read_bytes(),
        [prepare(path, contract) for path in calibration],
        contract,
        prefer,
        progress,
        tuned=bool(learning),
    )
    solutions = job.solutions(Path(memory))
    if prefer == "fastest":
        latencies = latencies or job.latencies(solutions)
        job.leave_out_slower(latencies)
    costs = job.costs(Path(memory), solutions)
    candidates = job.candidates(solutions, costs, max_drop)
    fitting = [one for one in candidates if one.closeness.predicted_drop <= max_drop]
    # All-int8 is the widest there is: it is taken even where it misses the budget.
    chosen = (
        min(fitting, key=lambda one: job.price(one.data)) if fitting else candidates[-1]
    )
    if max_size and len(chosen.data) > max_size:
        smaller = job.within(solutions, costs, max_size)
        raise _too_large(chosen, max_drop, max_size, smaller)
    tuned = job.tuned(chosen, solutions, learning) if learning else None
    Path(out).write_bytes(tuned.data if tuned else chosen.data)
    note = None
    if not costs:
        note = "no layer is as fast with 4 bits as with 8 here, so all weights have 8"
    elif min(chosen.bits.values()) == WIDE:
        note = (
            "every layer is too fragile for 4 bits within a predicted drop of "
            f"{max_drop:g}, so all weights have 8"
        )
    return {
        "chosen": chosen.to_dict(),
        "bits": {str(key): value for key, value in sorted(chosen.bits.items())},
        "candidates": [one.to_dict() for one in candidates],
        "note": note,
        "latencies": latencies,
        "finetuned": tuned.to_dict() if tuned else None,
        "cost": cost.so_far(),
    }


def _too_large(
    chosen: Candidate, max_drop: float, max_size: int, smaller: Candidate | None
) -> QuantizationError:
    """Say what was found, and what the size would cost."""
    found = (
        f"int4_mixed: {len(chosen.data)} bytes within a predicted drop of "
        f"{max_drop:g}, over the {max_size} allowed"
    )
    if smaller is None:
        return QuantizationError(
            f"{found}, and no choice of widths is that small. Give a larger --max-size"
        )
    # Rounded up, so that the number that is named suffices.
    drop = math.ceil(smaller.closeness.predicted_drop * 1e4) / 1e4
    return QuantizationError(
        f"{found}. {len(smaller.data)} bytes are predicted to lose {drop:g}: allow "
        f"that with --max-top1-drop {drop:g}, or a larger file with --max-size"
    )


class _Job:
    """One network with its pictures."""

    def __init__(
        self,
        data: bytes,
        pictures: Sequence[NDArray[np.uint8]],
        pipeline: ImagePipeline,
        prefer: str,
        progress: Progress,
        *,
        tuned: bool = False,
    ) -> None:
        self._pipeline = pipeline
        self._data = remove_metadata_front(data)
        self._model = read_float_model(self._data)
        if tuned:
            # What cannot be trained is named now, not after minutes of search.
            Graph(self._model, {})
        self._layers = weight_layers(self._model)
        # What shall be small: bytes on disk, or bytes to download.
        self.price = deflated_size if prefer == "smallest-download" else len
        self._threads = min(2, usable_cores())
        self._evidence = Evidence(
            self._data,
            pictures,
            pipeline,
            large=sum(layer.count for layer in self._layers) > _LARGE,
            threads=self._threads,
        )
        self._narrow = [x for x in self._layers if can_be_narrow(x)]
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
        path = memory / f"costs-{self._key(seen)}.json"
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
