"""Verify a Raspberry Pi bundle as far as a desk can, level by level."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.devices.emulated.arm_root import prepare_root
from edgedeploy.devices.emulated.cpus import DEFAULT_CPUS, Cpu, cpu_named
from edgedeploy.devices.emulated.debian import SUITES
from edgedeploy.devices.emulated.install_level import check_installation
from edgedeploy.devices.emulated.interpreter_level import check_interpreter
from edgedeploy.devices.emulated.outcome import EMULATED, Outcome, not_run, sum_up
from edgedeploy.devices.emulated.qemu import find_qemu
from edgedeploy.devices.emulated.runner import emulated_system
from edgedeploy.devices.emulated.tracer import prepare_tracer
from edgedeploy.devices.emulated.unavailable import Unavailable
from edgedeploy.devices.emulated.unpacked import PACKAGE, Unpacked, unpacked
from edgedeploy.errors import EdgedeployError, InputError
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.results import Check
from edgedeploy.targets.raspberry_pi.check import check_bundle
from edgedeploy.targets.raspberry_pi.check_debian import check_package

LEVELS = {
    "a": "digests, wheel tags and answers on this machine",
    "b": "the bundle's own runtime on emulated Arm processors",
    "c": "the whole installation in an emulated system, offline",
    "d": "a Raspberry Pi",
}
DEFAULT_LEVELS = ("a", "b", "c")
Announce = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to verify.

    Attributes:
        levels: Of "a", "b" and "c".
        cpus: Processors of level b; level c takes the first.
        suites: Debian releases of level c; empty for the one that has the bundle's
            Python.
        offline: Whether only this machine and the cache may be asked.
    """

    levels: tuple[str, ...] = DEFAULT_LEVELS
    cpus: tuple[str, ...] = DEFAULT_CPUS
    suites: tuple[str, ...] = ()
    offline: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be verified, before minutes of other levels."""
        for level in self.levels:
            if level not in LEVELS:
                raise InputError(
                    f"level must be {', '.join(DEFAULT_LEVELS)}; received {level!r}"
                )
        if not self.levels or not self.cpus:
            raise InputError("give at least one level and one cpu")
        for cpu in self.cpus:
            cpu_named(cpu)
        for suite in self.suites:
            if suite not in SUITES:
                raise InputError(
                    f"suite must be {', '.join(SUITES)}; received {suite!r}"
                )

    @property
    def processors(self) -> tuple[Cpu, ...]:
        """The processors."""
        return tuple(cpu_named(name) for name in self.cpus)


def verify_levels(
    path: Path, request: Request, announce: Announce
) -> dict[str, Outcome]:
    """Verify a bundle at the levels asked for.

    Levels b and c run what the bundle contains, with the rights of whoever calls; they
    are not run for a bundle that level a refuses.

    Args:
        path: A .tar.gz or .deb bundle.
        request: What to verify.
        announce: Told of each level; gives its progress function.

    Returns:
        An outcome for each of `LEVELS`; what was not run has not passed.

    Raises:
        InputError: If there is no such file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such bundle; build one with package.pi")
    levels: dict[str, Outcome] = {}
    # Level a is quick, and the others must not run what it would refuse.
    with announce(f"level a of {path.name}"):
        host = _timed(lambda: _check_on_host(path))
    asked = "a" in request.levels
    levels["a"] = host if asked else not_run("not asked for")
    for level, run in (("b", _interpreter), ("c", _installation)):
        if level not in request.levels:
            levels[level] = not_run("not asked for")
        # What level a leaves out, a bundle's native code, is for these to run.
        elif host.passed is False:
            levels[level] = not_run(f"level a did not pass ({host.detail})")
        else:
            levels[level] = _run_level(level, run, path, request, announce)
    levels["d"] = not_run(
        "nothing here runs on a Raspberry Pi; name one: pi.selftest --host user@host"
    )
    return levels


Level = Callable[[Unpacked, Request, Progress], tuple[Check, ...]]


def _run_level(
    level: str, run: Level, path: Path, request: Request, announce: Announce
) -> Outcome:
    def checks() -> tuple[Check, ...]:
        with announce(f"level {level} of {path.name}") as progress:
            try:
                with unpacked(path) as opened:
                    return run(opened, request, progress)
            except Unavailable as error:
                return (_check(f"level {level}", None, str(error)),)
            except InputError:
                raise
            except (EdgedeployError, ContractError) as error:
                return (_check(f"level {level}", False, str(error)),)

    return _timed(checks)


def _timed(run: Callable[[], tuple[Check, ...]]) -> Outcome:
    started = time.monotonic()
    checks = run()
    return sum_up(checks, seconds=time.monotonic() - started)


def _check(name: str, passed: bool | None, detail: str) -> Check:
    return Check(level=EMULATED, name=name, passed=passed, detail=detail)


def _check_on_host(path: Path) -> tuple[Check, ...]:
    checker = check_package if path.name.endswith(PACKAGE) else check_bundle
    return checker(path).checks


def _interpreter(
    opened: Unpacked, request: Request, progress: Progress
) -> tuple[Check, ...]:
    suite = _suite_with(opened)
    qemu = find_qemu(offline=request.offline)
    root = prepare_root(suite, offline=request.offline)
    checks = check_interpreter(
        opened, root, qemu, request.processors, progress=progress
    )
    return (*checks, _check("emulator", True, str(qemu)))


def _installation(
    opened: Unpacked, request: Request, progress: Progress
) -> tuple[Check, ...]:
    fitting = _suite_with(opened)
    checks: list[Check] = []
    for suite in request.suites or (fitting,):
        if suite != fitting:
            checks.append(
                _check(
                    f"{suite}: install",
                    None,
                    f"{suite} has Python {SUITES[suite]}; this bundle is for "
                    f"{opened.python}",
                )
            )
            continue
        checks += _install_in(suite, opened, request, progress)
    return tuple(checks)


def _install_in(
    suite: str, opened: Unpacked, request: Request, progress: Progress
) -> list[Check]:
    qemu = find_qemu(offline=request.offline)
    tracer = prepare_tracer(offline=request.offline)
    root = prepare_root(suite, offline=request.offline)
    cpu = request.processors[0]
    with emulated_system(root, qemu, tracer, cpu) as system:
        checks = check_installation(opened, system, progress=progress)
    where = f"{suite} on {cpu.name}"
    return [
        _check(f"{where}: {check.name}", check.passed, check.detail) for check in checks
    ]


def _suite_with(opened: Unpacked) -> str:
    """Find the Debian release that a bundle is for."""
    if opened.arch != "aarch64":
        raise Unavailable(
            f"bundles for {opened.arch} are not emulated here; only aarch64 is"
        )
    for suite, python in SUITES.items():
        if python == opened.python:
            return suite
    raise Unavailable(
        f"no Debian release has Python {opened.python}; {', '.join(SUITES)} have "
        f"{', '.join(SUITES.values())}"
    )


def combine(
    bundles: Mapping[str, Mapping[str, Outcome]],
) -> dict[str, Outcome]:
    """Sum several bundles' levels up: a level has passed where it did for all.

    Args:
        bundles: Outcomes of `LEVELS` by the bundle's file name.
    """
    if len(bundles) == 1:
        return dict(next(iter(bundles.values())))
    combined = {}
    for level in LEVELS:
        checks: list[Check] = []
        for name, outcomes in bundles.items():
            outcome = outcomes[level]
            checks += [
                Check(
                    level=check.level,
                    name=f"{name}: {check.name}",
                    passed=check.passed,
                    detail=check.detail,
                )
                for check in outcome.checks
            ] or [_check(name, outcome.passed, outcome.detail)]
        seconds = sum(outcomes[level].seconds for outcomes in bundles.values())
        combined[level] = sum_up(checks, seconds=seconds)
    return combined
