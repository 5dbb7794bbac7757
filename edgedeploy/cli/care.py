"""Tasks that look after the machine: `models`, `doctor` and `clean`."""

from __future__ import annotations

from types import SimpleNamespace

from edgedeploy.cli.command import command


@command("json")
def models(values: SimpleNamespace) -> None:
    """List the models of the catalogue and their weights."""
    from edgedeploy.catalog import model_names, model_specs
    from edgedeploy.cli.console import Speaker

    speaker = Speaker(machine=values.json)
    specs = [spec for name in model_names() for spec in model_specs(name)]
    if values.json:
        speaker.answer(
            [
                {
                    "model": spec.name,
                    "weights": spec.weights,
                    "title": spec.title,
                    "summary": spec.summary,
                    "classes": len(spec.labels),
                    "input": [spec.pipeline.width, spec.pipeline.height],
                    "source": type(spec.source).__name__.removesuffix("Source").lower(),
                    "licence": spec.licence.spdx,
                }
                for spec in specs
            ]
        )
        return
    speaker.table(
        ("model", "weights", "classes", "input", "from", "what"),
        [
            (
                spec.name,
                spec.weights,
                str(len(spec.labels)),
                f"{spec.pipeline.width}x{spec.pipeline.height}",
                type(spec.source).__name__.removesuffix("Source").lower(),
                spec.summary,
            )
            for spec in specs
        ],
    )
    speaker.note(
        "--weights auto takes the first weights of a model that can be reached"
    )


@command("install", "offline", "json")
def doctor(values: SimpleNamespace) -> None:
    """Tell what this machine can do, and how to get what it lacks."""
    from edgedeploy.cli.console import Speaker
    from edgedeploy.doctor import examine
    from edgedeploy.environments.findings import converters
    from edgedeploy.environments.install import install
    from edgedeploy.environments.table import environment_named

    speaker = Speaker(machine=values.json)
    if values.install:
        environment = environment_named(values.install)
        with speaker.step(f"install {environment.converter}") as progress:
            install(
                environment,
                offline=values.offline,
                tell=speaker.note,
                progress=progress,
            )
        speaker.note(f"{environment.reads} can be built from now on")
    findings = (*examine(), *converters())
    if values.json:
        speaker.answer([finding.to_dict() for finding in findings])
        return
    for finding in findings:
        speaker.finding(finding)


@command("model", "cache")
def clean(values: SimpleNamespace) -> None:
    """Remove a model's build folder; with --cache also what was downloaded."""
    import shutil
    from pathlib import Path

    from edgedeploy.catalog import model_specs
    from edgedeploy.cli.console import Speaker
    from edgedeploy.workspace import Workspace, cache_folder, folder_bytes

    speaker = Speaker()
    name = model_specs(values.model)[0].name
    workspace = Workspace(root=Path.cwd(), model=name)
    if workspace.folder.is_dir():
        size = folder_bytes(workspace.folder)
        # Another process may be building: wait for it rather than pull the rug.
        with workspace.exclusive(speaker.note):
            workspace.empty()
            # While it is ours: whoever waits for it makes it anew.
            workspace.folder.joinpath(".lock").unlink(missing_ok=True)
            workspace.folder.rmdir()
        speaker.note(f"removed {workspace.folder} ({size / 1e6:.1f} MB)")
    else:
        speaker.note(f"{workspace.folder}: nothing to remove")
    if values.cache:
        cache = cache_folder()
        size = folder_bytes(cache)
        for kind in (
            *("sources", "wheels", "decoded", "emulated"),
            *("environments", "graphs"),
        ):
            shutil.rmtree(cache / kind, ignore_errors=True)
        speaker.note(f"emptied the cache {cache} ({size / 1e6:.1f} MB)")
    speaker.note("edgedeploy.lock stays: it is what makes the next build the same")


TASKS = (models, doctor, clean)
