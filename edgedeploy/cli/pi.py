"""Tasks for the Raspberry Pi: `pi.install`, `pi.benchmark` and `pi.selftest`."""

from __future__ import annotations

from edgedeploy.cli import pi_hosts

TASKS = (*pi_hosts.TASKS,)
