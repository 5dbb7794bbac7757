"""The task that shows what each width of the weights costs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edgedeploy.cli.command import BUILD_FLAGS, command

# Which recipes there are, and what they learn from, does not change a sweep.
_FLAGS = tuple(flag for flag in BUILD_FLAGS if flag not in ("recipes", "finetune"))


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
    for row in found["rows"]:
        measured = _likeness(row) if found["outputs"] == "pictures" else _accuracy(row)
        speaker.note(
            f"{row['scheme']:<8}{row['bits']:>3} bits {row['size_bytes'] / 1e6:7.3f} MB"
            f"{row['deflated_bytes'] / 1e6:7.3f} deflated  {measured}"
        )
    speaker.note(f"side by side: {page}")


def _accuracy(row: dict[str, Any]) -> str:
    top1 = "" if row["top1"] is None else f"top-1 {100 * row['top1']:5.1f} %  "
    return f"{top1}agree {100 * row['agreement_top1']:5.1f} %  KL {row['mean_kl']:.4f}"


def _likeness(row: dict[str, Any]) -> str:
    ratio = "  equal" if row["psnr_db"] is None else f"{row['psnr_db']:4.1f} dB"
    return f"PSNR {ratio}  SSIM {row['ssim']:.3f}, at least {row['lowest_ssim']:.3f}"


TASKS = (sweep,)
