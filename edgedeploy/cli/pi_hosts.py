"""Tasks for real Raspberry Pis over ssh: install, benchmark and selftest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from edgedeploy.cli.command import command

if TYPE_CHECKING:
    from edgedeploy.devices.ssh.connection import Switchboard
    from edgedeploy.devices.ssh.fleet import Task
    from edgedeploy.devices.ssh.hosts import Host
    from edgedeploy.devices.ssh.install import Say
    from edgedeploy.devices.ssh.outcome import Outcome
    from edgedeploy.devices.ssh.parcel import Depot

_FLAGS = ("host", "hosts", "ssh_config", "path", "model", "python", "json")


@command(*_FLAGS)
def install(values: SimpleNamespace) -> None:
    """Install a bundle on a Pi, or on a fleet, over ssh."""
    from edgedeploy.devices.ssh.install import install as install_on

    switchboard = _switchboard(values)
    with _bundles(values) as (model, depot):

        def task(host: Host, say: Say) -> Outcome:
            return install_on(switchboard, host, depot, model, say)

        _run(values, "install", task, switchboard, lambda outcome: outcome)


@command(*_FLAGS)
def selftest(values: SimpleNamespace) -> None:
    """Replay the golden vectors on a Pi, or on a fleet, over ssh."""
    from edgedeploy.devices.ssh.measure import selftest as test_on

    switchboard = _switchboard(values)
    model, identity = _wanted(values)

    def task(host: Host, say: Say) -> Outcome:
        return test_on(switchboard, host, model, identity, say)

    _run(values, "self-test", task, switchboard, lambda outcome: outcome)


@command(*_FLAGS, "seconds")
def benchmark(values: SimpleNamespace) -> None:
    """Measure a Pi, or a fleet, over ssh; the figures go into benchmark.json."""
    from edgedeploy.cli.console import Speaker
    from edgedeploy.devices.ssh.measure import benchmark as measure_on
    from edgedeploy.errors import InputError
    from edgedeploy.stages.devices import record_facts
    from edgedeploy.workspace import Workspace

    if values.seconds < 1:
        raise InputError(f"--seconds must be at least 1; received {values.seconds}")
    switchboard = _switchboard(values)
    model, identity = _wanted(values)
    workspace = Workspace(root=Path.cwd(), model=model)
    speaker = Speaker(machine=values.json)

    def task(host: Host, say: Say) -> Outcome:
        return measure_on(switchboard, host, model, identity, values.seconds, say)

    def record(outcome: Outcome) -> Outcome:
        if "device" not in outcome.facts:
            return outcome
        facts = record_facts(workspace, outcome.facts, speaker.note)
        return replace(outcome, facts=facts)

    _run(values, "benchmark", task, switchboard, record)


def _run(
    values: SimpleNamespace,
    what: str,
    task: Task,
    switchboard: Switchboard,
    finished: Callable[[Outcome], Outcome],
) -> None:
    """Run a task on all hosts, show what came of it, and fail if one failed."""
    from edgedeploy.cli.console import Speaker
    from edgedeploy.cli.fleet import FleetBoard
    from edgedeploy.devices.ssh.fleet import raise_failed, run_fleet
    from edgedeploy.devices.ssh.hosts import chosen_hosts

    hosts = chosen_hosts(values.host, values.hosts)
    speaker = Speaker(machine=values.json)
    with FleetBoard(speaker, what, hosts) as board:
        outcomes = run_fleet(
            hosts,
            task,
            switchboard,
            state=board.state,
            finished=lambda outcome: board.finish(finished(outcome)),
        )
    if values.json:
        speaker.answer({"hosts": {one.host.name: one.to_dict() for one in outcomes}})
    else:
        board.print_table(outcomes)
    raise_failed(outcomes)


@contextmanager
def _bundles(values: SimpleNamespace) -> Iterator[tuple[str, Depot]]:
    """Give the model's name and the bundles that may be installed.

    Raises:
        InputError: If there is none, or --path names something else.
    """
    from edgedeploy.devices.ssh.parcel import Depot, find_bundles, open_parcel

    with tempfile.TemporaryDirectory(prefix="edgedeploy-ssh-") as name:
        folder = Path(name)
        if values.path:
            parcel = open_parcel(Path(values.path), folder / "given")
            yield parcel.model, Depot.of(parcel)
            return
        model = _model(values)
        found = find_bundles(Path.cwd() / "build" / model / "pi", model, _list(values))
        yield model, Depot(found, folder)


def _wanted(values: SimpleNamespace) -> tuple[str, str]:
    """Give the model's name and, with --path, the version that must be in use."""
    from edgedeploy.devices.ssh.parcel import open_parcel

    if not values.path:
        return _model(values), ""
    with tempfile.TemporaryDirectory(prefix="edgedeploy-ssh-") as name:
        parcel = open_parcel(Path(values.path), Path(name) / "given")
    return parcel.model, parcel.identity


def _model(values: SimpleNamespace) -> str:
    from edgedeploy.catalog import model_specs

    return model_specs(values.model)[0].name


def _list(values: SimpleNamespace) -> tuple[str, ...]:
    return tuple(part.strip() for part in values.python.split(",") if part.strip())


def _switchboard(values: SimpleNamespace) -> Switchboard:
    from edgedeploy.devices.ssh.connection import Switchboard
    from edgedeploy.devices.ssh.hosts import chosen_hosts

    # Before anything is opened: a misspelt host shall not wait for a large bundle.
    chosen_hosts(values.host, values.hosts)
    return Switchboard(Path(values.ssh_config) if values.ssh_config else None)


TASKS = (install, benchmark, selftest)
