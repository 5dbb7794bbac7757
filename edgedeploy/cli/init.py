"""The task `init`: take a model file in."""

from __future__ import annotations

from types import SimpleNamespace

from edgedeploy.cli.command import command


@command("path", "labels", "images", "trust", "json")
def init(values: SimpleNamespace) -> None:
    """Write the TOML of your own model file, from what the file says."""
    from edgedeploy.adopt.kinds import ACCEPTED, is_model_path
    from edgedeploy.catalog import model_specs
    from edgedeploy.cli.console import Speaker
    from edgedeploy.cli.options import settle_flags
    from edgedeploy.errors import InputError

    speaker = Speaker(machine=values.json)
    if not values.path or not is_model_path(values.path):
        raise InputError(
            f"init takes --path of a model file ({ACCEPTED.removeprefix('.toml, ')}); "
            f"received {values.path!r}"
        )
    values.model = values.path
    toml = settle_flags(values, speaker)
    spec = model_specs(toml)[0]
    if values.json:
        speaker.answer(
            {
                "toml": toml,
                "model": spec.name,
                "architecture": spec.architecture,
                "layout": spec.layout,
                "outputs": spec.outputs,
                "classes": len(spec.labels),
                "pipeline": spec.pipeline.to_dict(),
                "warnings": speaker.warnings,
            }
        )
        return
    speaker.note(f"build it: inv build --model {toml} --images PICTURES")


TASKS = (init,)
