"""The recipe int4_mixed: a float32 .tflite file and pictures in, few bits out.

Runs in a child process, since it drives the native runtime. Nothing but calibration
pictures is read: three quarters of them solve the layers, the rest choose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgedeploy.errors import QuantizationError
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.quantize.candidates import Candidate
from edgedeploy.quantize.cost import Cost
from edgedeploy.quantize.evidence import border_of
from edgedeploy.quantize.finetune.tune import read_pictures
from edgedeploy.quantize.job import Job
from edgedeploy.quantize.solve import WIDE


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
        InputError: If too few pictures are left to fine-tune with.
        QuantizationError: If the network cannot be solved, or nothing is small enough.
    """
    cost = Cost()
    contract = ImagePipeline.from_dict(pipeline)
    border = border_of(len(calibration))
    solving, choosing = calibration[:border], calibration[border:]
    learning = finetune and read_pictures(
        finetune, contract, solving=solving, choosing=choosing
    )
    job = Job(
        Path(model).read_bytes(),
        [prepare(path, contract) for path in calibration],
        contract,
        prefer,
        progress,
        narrow=max_drop > 0,
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
    if max_drop > 0 and not costs:
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
