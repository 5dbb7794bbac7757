"""The task that shows what each width of the weights costs."""

from __future__ import annotations

from types import SimpleNamespace

from edgedeploy.cli.command import BUILD_FLAGS, command


@command(*BUILD_FLAGS)
def sweep(values: SimpleNamespace) -> None:
    """Show what 8 to 1 bits do to size and answers, side by side."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.recipes import REFERENCE
    from edgedeploy.stages.run import open_build
    from edgedeploy.stages.sweep import sweep_variant

    values.recipes = REFERENCE
    context, speaker = build_context(values)
    with open_build(context) as job:
        found, page = sweep_variant(context, job.spec, job.pictures, job.variants[0])
    if values.json:
        speaker.answer(found)
        return
    for row in found["rows"]:
        top1 = "" if row["top1"] is None else f"top-1 {100 * row['top1']:5.1f} %"
        speaker.note(
            f"{row['scheme']:<8}{row['bits']:>3} bits {row['size_bytes'] / 1e6:8.2f} MB"
            f" {row['deflated_bytes'] / 1e6:8.2f} deflated  {top1}"
            f"  agree {100 * row['agreement_top1']:5.1f} %  KL {row['mean_kl']:.4f}"
        )
    speaker.note(f"side by side: {page}")


TASKS = (sweep,)
