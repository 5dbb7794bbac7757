"""The task that names the layers which add the error."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from edgedeploy.cli.command import BUILD_FLAGS, CHOICE_FLAGS, command

if TYPE_CHECKING:
    from edgedeploy.cli.console import Speaker


@command(*BUILD_FLAGS, *CHOICE_FLAGS)
def attribute(values: SimpleNamespace) -> None:
    """Name the layers that add a quantised variant's error, in dB tensor by tensor."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as job:
        found = job.attribution
    if values.json:
        speaker.answer(found)
        return
    for recipe, one in found["variants"].items():
        _show(recipe, one, speaker)
    speaker.note(f"all layers: {context.workspace.folder / 'attribution.json'}")


def _show(recipe: str, one: dict[str, Any], speaker: Speaker) -> None:
    by_name = {layer["name"]: layer for layer in one["layers"]}
    rows = [
        (
            name,
            by_name[name]["operator"],
            _decibels(by_name[name]["input_snr_db"]),
            _decibels(by_name[name]["snr_db"]),
            f"{100 * by_name[name]['own_noise']:.2f}",
        )
        for name in one["keep"]
    ]
    if not rows:
        speaker.note(f"{recipe}: no layer adds noise")
        return
    header = (recipe, "", "in, dB", "out, dB", "adds, % of the signal")
    speaker.table(header, rows)
    last = one["layers"][-1]
    speaker.note(f"{recipe}: the answer has {_decibels(last['snr_db'])} dB")


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


TASKS = (attribute,)
