"""Measure the variants on a phone with LiteRT's own benchmark_model."""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from edgedeploy.devices.adb.client import Adb
from edgedeploy.devices.adb.describe import Description, Heat, describe, read_heat
from edgedeploy.devices.adb.outcome import PhoneOutcome, Say
from edgedeploy.devices.adb.phones import Phone
from edgedeploy.devices.adb.tool import ToolRun, run_tool
from edgedeploy.errors import DeviceError
from edgedeploy.ondevice.intervals import paired_ratio, percentiles
from edgedeploy.recipes import REFERENCE
from edgedeploy.workspace import file_digest

# The one folder where the shell may write and run programs.
FOLDER = "/data/local/tmp/edgedeploy"
MIN_ROUNDS = 5
MAX_ROUNDS = 200
_SEED = 0
_NO_TAIL = "benchmark_model gives a median a run; a tail needs single times"


def benchmark(
    adb: Adb,
    phone: Phone,
    tool: Path,
    models: Mapping[str, Path],
    seconds: int,
    say: Say,
) -> PhoneOutcome:
    """Measure models on a phone, in rounds in which each has its turn.

    Args:
        adb: This machine's adb.
        phone: Which.
        tool: benchmark_model for the phone's processor.
        models: .tflite files by recipe, at least one.
        seconds: Time that the rounds may take; at least `MIN_ROUNDS` are made.
        say: Told in a few words what is being done.

    Returns:
        With "device", the phone's entry for benchmark.json, "models", the SHA-256 of
        what was measured by recipe, and "unmeasured", why figures are missing.

    Raises:
        DeviceError: If the phone cannot be used; a model that fails is an outcome.
    """
    serial = phone.serial
    described = describe(adb, serial)
    digests = {recipe: file_digest(path) for recipe, path in models.items()}
    program = _send(adb, serial, tool, file_digest(tool), say)
    adb.shell(serial, f"chmod 755 {shlex.quote(program)}")
    paths = {
        recipe: _send(adb, serial, path, digests[recipe], say)
        for recipe, path in models.items()
    }
    before = read_heat(adb, serial)
    runs = _Rounds(adb, serial, program, paths, _threads(described.cores))
    runs.warm_up(say)
    runs.measure(time.monotonic() + seconds, say)
    after = read_heat(adb, serial)
    variants, unmeasured = _summarise(runs)
    device = {
        "host": _host(described, before, after),
        "conditions": {
            "before": asdict(before),
            "after": asdict(after),
            "warnings": _warnings(before, after),
        },
        "variants": variants,
    }
    return PhoneOutcome(
        serial=serial,
        passed=not runs.errors,
        detail="; ".join(f"{k}: {v}" for k, v in runs.errors.items())[:300]
        or _fastest(variants),
        facts={
            "device_id": described.device_id,
            "device": device,
            "models": digests,
            "unmeasured": unmeasured,
        },
    )


class _Rounds:
    """Runs of the tool, by recipe and number of threads."""

    def __init__(
        self,
        adb: Adb,
        serial: str,
        program: str,
        paths: Mapping[str, str],
        threads: Sequence[int],
    ) -> None:
        self._adb, self._serial, self._program = adb, serial, program
        self._paths = paths
        self.turns = [(recipe, count) for recipe in paths for count in threads]
        self.first: dict[str, ToolRun] = {}
        self.runs: dict[tuple[str, int], list[ToolRun]] = {t: [] for t in self.turns}
        self.errors: dict[str, str] = {}

    def warm_up(self, say: Say) -> None:
        """Run each model once; what fails is left out afterwards."""
        for recipe, path in self._paths.items():
            say(f"warming up {recipe}")
            try:
                self.first[recipe] = self._run(path, 1)
            except DeviceError as error:
                # A phone that went away fails the task; a model that fails does not.
                self._adb.shell(self._serial, "true")
                self.errors[recipe] = str(error).removeprefix(f"{self._serial}: ")
        self.turns = [turn for turn in self.turns if turn[0] not in self.errors]

    def measure(self, deadline: float, say: Say) -> None:
        """Run rounds in a random order until the time is over."""
        order = random.Random(_SEED)  # noqa: S311  (an order, not a secret)
        for done in range(MAX_ROUNDS if self.turns else 0):
            if done >= MIN_ROUNDS and time.monotonic() >= deadline:
                return
            say(f"round {done + 1}")
            order.shuffle(self.turns)
            for recipe, count in self.turns:
                run = self._run(self._paths[recipe], count)
                self.runs[recipe, count].append(run)

    def _run(self, path: str, threads: int) -> ToolRun:
        return run_tool(
            self._adb, self._serial, self._program, path, threads, warmup_runs=2
        )


def _send(adb: Adb, serial: str, source: Path, sha256: str, say: Say) -> str:
    """Copy a file to the phone unless it is there, and compare what arrived."""
    target = str(PurePosixPath(FOLDER) / f"{sha256[:16]}-{source.name}")
    # The file's name is the user's, and may mean something to a shell.
    sum_of = f"sha256sum < {shlex.quote(target)} 2>/dev/null || true"
    adb.shell(serial, f"mkdir -p {FOLDER}")
    if adb.shell(serial, sum_of).startswith(sha256):
        return target
    say(f"sending {source.name} ({source.stat().st_size / 1e6:.1f} MB)")
    adb.push(serial, source, target)
    if not adb.shell(serial, sum_of).startswith(sha256):
        raise DeviceError(
            f"{serial}: {source.name} arrived damaged; is the phone's storage full?"
        )
    return target


def _threads(cores: int) -> list[int]:
    return [count for count in (1, 2, 4) if count <= max(1, cores)]


def _summarise(runs: _Rounds) -> tuple[dict[str, Any], dict[str, str]]:
    variants: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for recipe, first in runs.first.items():
        threads = {}
        for (name, count), found in runs.runs.items():
            if name == recipe and found:
                threads[str(count)] = _row(runs, recipe, count)
                for tail in ("p90_ms", "p99_ms"):
                    reasons[f"variants.{recipe}.threads.{count}.{tail}"] = _NO_TAIL
        variants[recipe] = {
            "load_ms": round(first.init_ms, 3),
            "first_invoke_ms": round(first.first_ms, 3),
            "peak_rss_bytes": first.peak_bytes,
            "delegate": first.delegate,
            "fallback": None,
            "threads": threads,
        }
        reasons[f"variants.{recipe}.fallback"] = (
            "benchmark_model does not name the operators that a delegate left"
        )
        if first.peak_bytes is None:
            reasons[f"variants.{recipe}.peak_rss_bytes"] = (
                "benchmark_model did not report it"
            )
        if not first.is_median:
            reasons[f"variants.{recipe}.threads.p50_ms"] = (
                "this benchmark_model gives no median; the mean of each run was taken"
            )
    for recipe, error in runs.errors.items():
        variants[recipe] = {"error": error}
        reasons[f"variants.{recipe}"] = error
    return variants, reasons


def _row(runs: _Rounds, recipe: str, count: int) -> dict[str, Any]:
    """One number of threads: the median over the rounds, and the paired ratio."""
    times = [run.time_ms for run in runs.runs[recipe, count]]
    reference = [run.time_ms for run in runs.runs.get((REFERENCE, count), [])]
    speedup = None
    if len(reference) == len(times):
        ratio, low, high = paired_ratio(reference, times, seed=_SEED)
        speedup = {"ratio": round(ratio, 4), "ci95": [round(low, 4), round(high, 4)]}
    return {
        "p50_ms": percentiles(times)["p50_ms"],
        "p90_ms": None,
        "p99_ms": None,
        "runs": sum(run.count for run in runs.runs[recipe, count]),
        "rounds": len(times),
        "speedup_vs_float32": speedup,
    }


def _host(described: Description, before: Heat, after: Heat) -> dict[str, Any]:
    return {
        "machine": described.machine or described.abis[0],
        "cpu": described.soc or None,
        "board": described.model or None,
        "cores": described.cores or None,
        "os": described.os,
        "abi": described.abis[0],
        "abis": list(described.abis),
        "soc": described.soc or None,
        "runtime": "benchmark_model",
        "runtime_version": None,
        "governor": described.governor or None,
        "thermal_status": after.status,
        "temperature_c": before.cpu_c,
        "emulated": described.emulated,
        "identity": described.identity,
    }


def _warnings(before: Heat, after: Heat) -> list[str]:
    return [
        f"the phone's thermal status was {heat.status} {when} measuring"
        for when, heat in (("before", before), ("after", after))
        if heat.status not in (None, "none")
    ]


def _fastest(variants: Mapping[str, Any]) -> str:
    parts = []
    for recipe, facts in variants.items():
        times = [(row["p50_ms"], n) for n, row in facts.get("threads", {}).items()]
        if times:
            best, count = min(times)
            parts.append(f"{recipe} {best:.1f} ms ({count} threads)")
    return f"p50: {', '.join(parts)}"
