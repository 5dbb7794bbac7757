"""Tasks for the Raspberry Pi: `pi.verify`, `pi.install`, and what follows it."""

from __future__ import annotations

from edgedeploy.cli import pi_hosts, pi_verify

TASKS = (*pi_verify.TASKS, *pi_hosts.TASKS)
