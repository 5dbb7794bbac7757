"""Tasks for Android phones over adb: devices, install, benchmark and selftest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from edgedeploy.cli.command import command

if TYPE_CHECKING:
    from edgedeploy.cli.console import Speaker
    from edgedeploy.devices.adb.client import Adb
    from edgedeploy.devices.adb.outcome import PhoneOutcome
    from edgedeploy.devices.adb.phones import Phone

    Task = Callable[[Adb, Phone, Speaker], PhoneOutcome]


@command("json")
def devices(values: SimpleNamespace) -> None:
    """List the Android phones that adb reaches, and what keeps others from it."""
    from edgedeploy.cli.console import Speaker
    from edgedeploy.devices.adb.client import find_adb
    from edgedeploy.devices.adb.describe import describe
    from edgedeploy.devices.adb.outcome import PhoneOutcome, on_each
    from edgedeploy.devices.adb.phones import ALL, chosen_phones

    speaker = Speaker(machine=values.json)
    adb = find_adb()

    def look(phone: Phone) -> PhoneOutcome:
        found = describe(adb, phone.serial)
        words = ", ".join((found.model, found.os, found.soc, found.abis[0]))
        facts = asdict(found)
        return PhoneOutcome(serial=phone.serial, passed=True, detail=words, facts=facts)

    _show(speaker, values, on_each(chosen_phones(adb, ALL), look))


@command("device", "path", "model", "json")
def install(values: SimpleNamespace) -> None:
    """Install an APK on a phone: the model's own, or --path."""
    from edgedeploy.devices.adb.client import check_apk
    from edgedeploy.devices.adb.install import install as install_on

    model = "" if values.path else _model(values)
    folder = Path.cwd() / "build" / model / "android"
    apk = Path(values.path) if values.path else folder / f"{model}-assets.apk"
    check_apk(apk)
    _run(values, lambda adb, phone, say: install_on(adb, phone, apk, say.note))


@command("device", "package", "model", "json")
def selftest(values: SimpleNamespace) -> None:
    """Replay the golden vectors in the installed app, on a phone."""
    from edgedeploy.devices.adb.selftest import selftest as test_on
    from edgedeploy.stages.context import Options
    from edgedeploy.stages.packaging import application_id
    from edgedeploy.targets.android.app import app_id

    package = values.package or app_id(application_id(Options(), _model(values)))
    _run(values, lambda adb, phone, say: test_on(adb, phone, package, say.note))


@command("device", "tool", "model", "recipes", "seconds", "json")
def benchmark(values: SimpleNamespace) -> None:
    """Measure on a phone with benchmark_model; the figures go to benchmark.json."""
    from edgedeploy.devices.adb.benchmark import benchmark as measure_on
    from edgedeploy.devices.adb.tool import WHERE
    from edgedeploy.errors import InputError
    from edgedeploy.stages.devices import record_facts
    from edgedeploy.workspace import Workspace

    if values.seconds < 1:
        raise InputError(f"--seconds must be at least 1; received {values.seconds}")
    tool = Path(values.tool)
    if not values.tool or not tool.is_file():
        raise InputError(
            f"--tool takes the path of benchmark_model; received {values.tool!r}. "
            f"{WHERE}"
        )
    workspace = Workspace(root=Path.cwd(), model=_model(values))
    models = _built(workspace.folder, values.recipes)

    def task(adb: Adb, phone: Phone, speaker: Speaker) -> PhoneOutcome:
        outcome = measure_on(adb, phone, tool, models, values.seconds, speaker.note)
        facts = record_facts(workspace, outcome.facts, speaker.note)
        return replace(outcome, facts=facts)

    _run(values, task)


def _run(values: SimpleNamespace, task: Task) -> None:
    """Run a task on the phones that are meant, show the outcome, fail if one failed."""
    from edgedeploy.cli.console import Speaker
    from edgedeploy.devices.adb.client import find_adb
    from edgedeploy.devices.adb.outcome import on_each
    from edgedeploy.devices.adb.phones import chosen_phones

    speaker = Speaker(machine=values.json)
    adb = find_adb()
    phones = chosen_phones(adb, values.device)
    outcomes = on_each(phones, lambda phone: task(adb, phone, speaker))
    _show(speaker, values, outcomes)


def _show(
    speaker: Speaker, values: SimpleNamespace, outcomes: tuple[PhoneOutcome, ...]
) -> None:
    from edgedeploy.devices.adb.outcome import raise_failed

    if values.json:
        speaker.answer({"phones": {one.serial: one.to_dict() for one in outcomes}})
    else:
        for one in outcomes:
            speaker.note(f"{'✓' if one.passed else '✗'} {one.serial}: {one.detail}")
    raise_failed(outcomes)


def _built(folder: Path, recipes: str) -> dict[str, Path]:
    """Find the variants of a build; float32 first, which the others are held against.

    Raises:
        InputError: If a recipe, or all of them, were not built.
    """
    from edgedeploy.errors import InputError
    from edgedeploy.recipes import REFERENCE

    found = {
        path.parent.name: path
        for path in sorted((folder / "variants").glob("*/model.tflite"))
    }
    wanted = [part.strip() for part in recipes.split(",") if part.strip()]
    missing = [recipe for recipe in wanted if recipe not in found]
    if missing or not found:
        raise InputError(
            f"{folder}: no {', '.join(missing) or 'variants'} were built; there are "
            f"{', '.join(found) or 'none'}. Build them with inv convert"
        )
    order = sorted(wanted or found, key=lambda recipe: recipe != REFERENCE)
    return {recipe: found[recipe] for recipe in order}


def _model(values: SimpleNamespace) -> str:
    from edgedeploy.catalog import model_specs

    return model_specs(values.model)[0].name


TASKS = (devices, install, benchmark, selftest)
