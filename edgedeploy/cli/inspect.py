"""The task that looks into a model file."""

from __future__ import annotations

from types import SimpleNamespace

from edgedeploy.cli.command import command


@command("path", "json")
def inspect(values: SimpleNamespace) -> None:
    """Say what any .tflite file holds, and which of it XNNPACK runs."""
    from pathlib import Path

    from edgedeploy.cli.console import Speaker
    from edgedeploy.errors import InputError
    from edgedeploy.inspect import inspect_model
    from edgedeploy.inspect.terminal import print_inspection

    if not values.path:
        raise InputError("give --path a .tflite file to inspect")
    speaker = Speaker(machine=values.json)
    found = inspect_model(Path(values.path))
    if values.json:
        speaker.answer(found)
    else:
        print_inspection(speaker.console, found)


TASKS = (inspect,)
