"""The recipe int4_mixed: a float32 .tflite file and pictures in, few bits out.

Runs in a child process, since it drives the native runtime. Nothing but calibration
pictures is read: three quarters of them solve the layers, the rest choose.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.formats.tflite_layout import pack_model, remove_metadata_front
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ImagePipeline, normalise
from edgedeploy.ondevice.host import usable_cores
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.quantize.layers import (
    Layer,
    copy_model,
    read_float_model,
    set_layer,
    weight_layers,
)
from edgedeploy.quantize.search import (
    NARROW,
    WIDE,
    Closeness,
    assign_bits,
    can_be_narrow,
    closeness,
    next_allowance,
)
from edgedeploy.quantize.solve import solve_alone, solve_network
from edgedeploy.quantize.views import views
from edgedeploy.quantize.wave import scores_of
from edgedeploy.quantize.write import SolvedLayer, write_solved
from edgedeploy.workspace import atomic_file, code_digest, json_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 7
# A network of ten times the weights is given fewer pictures, so that it ends in time.
_SMALL_WEIGHTS = 8_000_000
_SOLVE_VIEWS = (160, 48)
_RANK_VIEWS = (48, 16)
_CHOOSE_VIEWS = (160, 64)
_CANDIDATES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One assignment, solved and measured.

    Attributes:
        data: The .tflite file's bytes.
        bits: By operator number.
        closeness: On the pictures that choose.
        allowed: The sum of costs that it was allowed.
    """

    data: bytes
    bits: Mapping[int, int]
    closeness: Closeness
    allowed: float

    def to_dict(self) -> dict[str, Any]:
        """Give the facts as JSON values."""
        return {
            "size_bytes": len(self.data),
            "deflated_bytes": len(zlib.compress(self.data, 9)),
            "narrow_layers": sum(b == NARROW for b in self.bits.values()),
            "layers": len(self.bits),
            "predicted_drop": round(self.closeness.predicted_drop, 6),
            "mean_kl": round(self.closeness.mean_kl, 6),
            "agreement": round(self.closeness.agreement, 6),
        }


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

    Returns:
        What was chosen, every candidate, and a note where 4 bits did not fit at all.

    Raises:
        QuantizationError: If the network cannot be solved, or nothing is small enough.
    """
    contract = ImagePipeline.from_dict(pipeline)
    job = _Job(
        Path(model).read_bytes(),
        [prepare(path, contract) for path in calibration],
        contract,
        prefer,
        progress,
    )
    costs = job.costs(Path(memory))
    candidates = job.candidates(costs, max_drop)
    fitting = [one for one in candidates if one.closeness.predicted_drop <= max_drop]
    # All-int8 is the widest there is: it is taken even where it misses the budget.
    chosen = min(fitting, key=job.price) if fitting else candidates[-1]
    if max_size and len(chosen.data) > max_size:
        raise QuantizationError(
            f"int4_mixed: {len(chosen.data)} bytes within a predicted drop of "
            f"{max_drop:g}, over the {max_size} allowed. Allow more loss with "
            "--max-top1-drop, or a larger file with --max-size"
        )
    Path(out).write_bytes(chosen.data)
    note = None
    if NARROW not in chosen.bits.values():
        note = (
            "every layer is too fragile for 4 bits within a predicted drop of "
            f"{max_drop:g}, so all weights have 8"
        )
    return {
        "chosen": chosen.to_dict(),
        "bits": {str(key): value for key, value in sorted(chosen.bits.items())},
        "candidates": [one.to_dict() for one in candidates],
        "note": note,
    }


class _Job:
    """One network with its pictures."""

    def __init__(
        self,
        data: bytes,
        pictures: Sequence[NDArray[np.uint8]],
        pipeline: ImagePipeline,
        prefer: str,
        progress: Progress,
    ) -> None:
        self._data = remove_metadata_front(data)
        self._model = read_float_model(self._data)
        self._layers = weight_layers(self._model)
        self._prefer = prefer
        self._threads = min(2, usable_cores())
        large = sum(layer.count for layer in self._layers) > _SMALL_WEIGHTS
        sizes = (_SOLVE_VIEWS[large], _CHOOSE_VIEWS[large], _RANK_VIEWS[large])
        border = max(1, len(pictures) * 3 // 4)
        self._solving = _normalised(pictures[:border], sizes[0], pipeline)
        self._choosing = _normalised(pictures[border:], sizes[1], pipeline)
        self._ranking = self._solving[: sizes[2]]
        self._reference = scores_of(self._data, self._choosing, self._threads)
        _check_probabilities(self._reference)
        narrow = [x for x in self._layers if can_be_narrow(x, prefer)]
        self._narrow: tuple[Layer, ...] = tuple(narrow)
        self._alone: dict[int, SolvedLayer] = {}
        self._done = 0
        self._total = len(narrow) + _CANDIDATES * len(self._layers)
        self._progress = progress

    def price(self, candidate: Candidate) -> int:
        """What shall be small: bytes on disk, or bytes to download."""
        if self._prefer == "smallest-download":
            return len(zlib.compress(candidate.data, 9))
        return len(candidate.data)

    def costs(self, memory: Path) -> dict[int, float]:
        """Measure what 4 bits in each layer alone do to the answers."""
        # Not on the pictures that solved it: those would flatter the late layers.
        judging = self._choosing[: len(self._ranking)]
        used = (*self._ranking, *judging)
        inputs = [self._data, *(picture.tobytes() for picture in used)]
        key = json_digest([code_digest("quantize"), *(zlib.crc32(x) for x in inputs)])
        path = memory / f"costs-{key[:16]}.json"
        known = _remembered(path)
        missing = [x for x in self._narrow if str(x.operator) not in known]
        self._done = len(self._narrow) - len(missing)
        if missing:
            before = self._reference[: len(judging)]
            for one in self._solved_alone({int(one) for one in known}):
                changed = copy_model(self._model)
                set_layer(changed, one.layer, one.weights(), one.bias)
                after = scores_of(pack_model(changed), judging, self._threads)
                cost = closeness(before, after)
                known[str(one.layer.operator)] = cost.mean_kl
                # Kept one by one: whoever is interrupted goes on from here.
                with atomic_file(path) as temporary:
                    temporary.write_text(json.dumps(known, sort_keys=True))
                self._tick()
        return {x.operator: known[str(x.operator)] for x in self._narrow}

    def candidates(
        self, costs: Mapping[int, float], max_drop: float
    ) -> list[Candidate]:
        """Solve a few assignments around the budget; all-int8 where none fits."""
        made: list[Candidate] = []
        allowed = max_drop
        seen: set[tuple[int, ...]] = set()
        savings = {x.operator: x.count * (WIDE - NARROW) // 8 for x in self._narrow}
        for _ in range(_CANDIDATES):
            bits = assign_bits(self._layers, costs, savings, allowed)
            key = tuple(bits.values())
            if key in seen:
                break
            seen.add(key)
            one = self._candidate(bits, allowed)
            made.append(one)
            allowed = next_allowance(
                allowed, one.closeness.predicted_drop, 0.93 * max_drop
            )
        if all(one.closeness.predicted_drop > max_drop for one in made):
            bits = {layer.operator: WIDE for layer in self._layers}
            made.append(self._candidate(bits, 0.0))
        return made

    def _candidate(self, bits: Mapping[int, int], allowed: float) -> Candidate:
        solved = solve_network(
            self._model,
            self._layers,
            bits,
            self._solving,
            threads=self._threads,
            seed=SEED,
            tick=self._tick,
        )
        data = write_solved(self._model, solved)
        found = closeness(
            self._reference, scores_of(data, self._choosing, self._threads)
        )
        return Candidate(data=data, bits=bits, closeness=found, allowed=allowed)

    def _solved_alone(self, skip: set[int]) -> Iterator[SolvedLayer]:
        return solve_alone(
            self._model,
            self._narrow,
            NARROW,
            self._ranking,
            threads=self._threads,
            seed=SEED,
            skip=skip,
        )

    def _tick(self) -> None:
        self._done += 1
        self._progress(min(self._done, self._total), self._total)


def _check_probabilities(scores: NDArray[np.float32]) -> None:
    """Refuse embeddings and logits, of which no loss of top-1 can be predicted."""
    sums = scores.sum(axis=1)
    if scores.min() < 0 or np.abs(sums - 1).max() > 0.01:
        raise QuantizationError(
            "int4_mixed needs a network whose outputs are probabilities that sum to 1; "
            f"found sums from {sums.min():.3g} to {sums.max():.3g}. Let it end in a "
            "softmax, or leave the recipe out"
        )


def _normalised(
    pictures: Sequence[NDArray[np.uint8]], most: int, pipeline: ImagePipeline
) -> list[NDArray[np.float32]]:
    """Views of the pictures, each picture's first view before any second one."""
    count = max(1, -(-most // len(pictures)))
    made = list(views(pictures, count, SEED))
    ordered = [
        made[n] for first in range(count) for n in range(first, len(made), count)
    ]
    return [normalise(view, pipeline) for view in ordered[:most]]


def _remembered(path: Path) -> dict[str, float]:
    """Costs of an earlier run; none where the file is missing or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        key: float(value)
        for key, value in values.items()
        if key.isdecimal() and isinstance(value, (int, float)) and np.isfinite(value)
    }
