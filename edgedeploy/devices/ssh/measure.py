"""Run the installed bundle's own programs on a host and bring home what they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edgedeploy.devices.ssh.connection import Answer, Connection, Switchboard
from edgedeploy.devices.ssh.hosts import Host
from edgedeploy.devices.ssh.install import Say
from edgedeploy.devices.ssh.outcome import Outcome
from edgedeploy.devices.ssh.remote import Remote, probe
from edgedeploy.errors import DeviceError

_TIMEOUT_S = 7200.0


def selftest(
    switchboard: Switchboard, host: Host, model: str, identity: str, say: Say
) -> Outcome:
    """Replay the golden vectors on a host.

    Args:
        switchboard: Opens the connection.
        host: The host.
        model: The model's name.
        identity: SHA-256 of the SHA256SUMS that must be in use; "" for any.
        say: Told in a few words what is being done.

    Raises:
        DeviceError: If it cannot be run; a self-test that fails is an outcome.
    """
    say("connecting")
    with switchboard.connect(host) as connection:
        remote = _installed(connection, model, identity)
        say("testing")
        answer, report = _run(connection, remote, "selftest", seconds=0)
    checks = report.get("checks")
    if not isinstance(checks, list) or not isinstance(report.get("passed"), bool):
        raise DeviceError(f"{host.name}: selftest gave no report ({answer.last_words})")
    failed = [
        f"{check.get('name')}: {check.get('detail')}"
        for check in checks
        if isinstance(check, dict) and not check.get("passed")
    ]
    passed = report["passed"] is True and not failed and answer.code == 0
    return Outcome(
        host=host,
        passed=passed,
        detail=f"{len(checks)} checks passed"
        if passed
        else "; ".join(failed)[:300] or f"exit code {answer.code}",
        remote=remote,
        facts={"selftest": report},
    )


def benchmark(
    switchboard: Switchboard,
    host: Host,
    model: str,
    identity: str,
    seconds: int,
    say: Say,
) -> Outcome:
    """Measure the installed variants on a host.

    Args:
        switchboard: Opens the connection.
        host: The host.
        model: The model's name.
        identity: SHA-256 of the SHA256SUMS that must be in use; "" for any.
        seconds: Time that the rounds may take.
        say: Told in a few words what is being done.

    Returns:
        With "device", the host's entry for benchmark.json, and "models", the SHA-256
        of what was measured by recipe.

    Raises:
        DeviceError: If it cannot be run; a variant that fails is an outcome.
    """
    say("connecting")
    with switchboard.connect(host) as connection:
        before = _installed(connection, model, identity)
        say(f"measuring for about {seconds} s")
        answer, report = _run(connection, before, "benchmark", seconds=seconds)
        after = probe(connection, model)
    hosts, variants = report.get("host"), report.get("variants")
    if not (isinstance(hosts, dict) and isinstance(variants, dict) and variants):
        raise DeviceError(
            f"{host.name}: benchmark gave no figures ({answer.last_words})"
        )
    if before.installed != after.installed:
        raise DeviceError(
            f"{host.name}: another version was installed meanwhile; measure again"
        )
    failed = [
        f"{recipe}: {facts.get('error')}"
        for recipe, facts in variants.items()
        if not isinstance(facts, dict) or "error" in facts
    ]
    device = {**report, "host": {**_condition(before), **hosts, **_origin(after)}}
    device.pop("unmeasured", None)
    return Outcome(
        host=host,
        passed=not failed and answer.code == 0,
        detail="; ".join(failed)[:300] or _fastest(variants, hosts),
        remote=after,
        facts={
            "device_id": host.alias or after.device_id,
            "device": device,
            "models": dict(after.models),
            "unmeasured": _reasons(report),
        },
    )


def _installed(connection: Connection, model: str, identity: str) -> Remote:
    remote = probe(connection, model)
    name = connection.host.name
    if not remote.installed:
        raise DeviceError(
            f"{name}: {model} is not installed in {remote.prefix}; install it with "
            f"inv pi.install --model {model}"
        )
    if identity and remote.installed != identity:
        raise DeviceError(
            f"{name}: another version of {model} is in use there; bring it up to date "
            "with inv pi.install"
        )
    return remote


def _run(
    connection: Connection, remote: Remote, program: str, *, seconds: int
) -> tuple[Answer, dict[str, Any]]:
    answer = connection.run(
        "program",
        {"prefix": remote.prefix, "program": program, "seconds": str(seconds)},
        timeout_s=_TIMEOUT_S,
    )
    try:
        report = json.loads(answer.text)
    except (ValueError, RecursionError):
        report = None
    if not isinstance(report, dict):
        raise DeviceError(
            f"{connection.host.name}: {program} did not run there: {answer.last_words}"
        )
    return answer, report


def _condition(remote: Remote) -> dict[str, Any]:
    """What decides how far times can be believed, where the report says nothing."""
    return {
        "governor": remote.governor,
        "temperature_c": remote.temperature_c,
        "throttled": remote.throttled,
    }


def _origin(remote: Remote) -> dict[str, Any]:
    return {
        "board": remote.board or None,
        "hostname": remote.hostname,
        "bundle": remote.installed,
        "identity": remote.identity or None,
    }


def _reasons(report: Mapping[str, Any]) -> dict[str, str]:
    given = report.get("unmeasured")
    pairs = given.items() if isinstance(given, dict) else ()
    return {str(key): str(reason) for key, reason in pairs}


def _fastest(variants: Mapping[str, Any], host: Mapping[str, Any]) -> str:
    parts = []
    for recipe, facts in variants.items():
        times = [
            (row["p50_ms"], count)
            for count, row in (facts.get("threads") or {}).items()
            if isinstance(row, dict) and isinstance(row.get("p50_ms"), (int, float))
        ]
        if times:
            best, count = min(times)
            parts.append(f"{recipe} {best:.1f} ms ({count} threads)")
    emulated = " emulated: no device's times;" if host.get("emulated") else ""
    return f"{emulated} p50: {', '.join(parts)}".strip()
