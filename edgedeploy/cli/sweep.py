"""The task that shows what each width of the weights costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from edgedeploy.cli.command import BUILD_FLAGS, command

# Which recipes there are, and what they learn from, does not change a sweep.
_FLAGS = tuple(flag for flag in BUILD_FLAGS if flag not in ("recipes", "finetune"))
_HEADS = ("top-1 %", "agree %", "KL")


@command(*_FLAGS, "show")
def sweep(values: SimpleNamespace) -> None:
    """Show what 8 to 1 bits do to size and answers, side by side."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.recipes import REFERENCE
    from edgedeploy.stages.run import open_build
    from edgedeploy.stages.sweep import sweep_variant

    values.recipes = REFERENCE
    context, speaker = build_context(values)
    with open_build(context, pictures_out=True) as job:
        found, page = sweep_variant(context, job.spec, job.pictures, job.variants[0])
    if values.json:
        speaker.answer(found)
        return
    speaker.table(*_table(found))
    speaker.note(f"side by side: {page}")


def _table(found: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Heads and rows, narrow enough for a terminal of 80 columns."""
    from edgedeploy.report.widths import SCHEMES

    pictures = found["outputs"] == "pictures"
    compared = ("PSNR, dB", "SSIM", "lowest") if pictures else _HEADS
    rows = [
        (
            SCHEMES.get(row["scheme"], row["scheme"]),
            f"{row['bits']:4}",
            f"{row['size_bytes'] / 1e6:6.3f}",
            f"{row['deflated_bytes'] / 1e6:7.3f}",
            *(_likeness(row) if pictures else _accuracy(row)),
        )
        for row in found["rows"]
    ]
    return ("weights", "bits", "    MB", " zip MB", *compared), rows


def _accuracy(row: Mapping[str, Any]) -> Sequence[str]:
    top1 = "" if row["top1"] is None else f"{100 * row['top1']:7.1f}"
    return top1, f"{100 * row['agreement_top1']:7.1f}", f"{row['mean_kl']:.4f}"


def _likeness(row: Mapping[str, Any]) -> Sequence[str]:
    ratio = "   equal" if row["psnr_db"] is None else f"{row['psnr_db']:8.1f}"
    return ratio, f"{row['ssim']:.3f}", f"{row['lowest_ssim']:.3f}"


TASKS = (sweep,)
