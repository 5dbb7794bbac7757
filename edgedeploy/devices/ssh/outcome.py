"""What came of a task on a host, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgedeploy.devices.ssh.hosts import Host
from edgedeploy.devices.ssh.remote import Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a task on a host.

    Attributes:
        host: The host.
        passed: Whether it did what was asked.
        detail: One line: what was done, or why it was not.
        remote: The host's description of itself; None if it was not reached.
        facts: Further JSON values.
    """

    host: Host
    passed: bool
    detail: str
    remote: Remote | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the outcome as JSON values."""
        values: dict[str, Any] = {"passed": self.passed, "detail": self.detail}
        if self.remote:
            values |= {
                "board": self.remote.board or None,
                "hostname": self.remote.hostname,
                "os": self.remote.os or None,
            }
        return values | dict(self.facts)
