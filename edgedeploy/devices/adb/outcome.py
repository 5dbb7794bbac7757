"""What came of a task on a phone, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgedeploy.devices.adb.phones import Phone
from edgedeploy.errors import DeviceError, EdgedeployError

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneOutcome:
    """What came of a task on a phone.

    Attributes:
        serial: The phone.
        passed: Whether it did what was asked.
        detail: One line: what was done, or why it was not.
        facts: Further JSON values.
    """

    serial: str
    passed: bool
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the outcome as JSON values."""
        return {"passed": self.passed, "detail": self.detail, **self.facts}


def on_each(
    phones: Sequence[Phone], task: Callable[[Phone], PhoneOutcome]
) -> tuple[PhoneOutcome, ...]:
    """Do something on one phone after the other; one's failure does not stop the rest.

    Args:
        phones: Which; those that cannot be used fail.
        task: What.
    """
    return tuple(_attempt(phone, task) for phone in phones)


def _attempt(phone: Phone, task: Callable[[Phone], PhoneOutcome]) -> PhoneOutcome:
    try:
        if not phone.ready:
            raise DeviceError(phone.trouble)
        return task(phone)
    except EdgedeployError as error:
        detail = " ".join(str(error).split()).removeprefix(f"{phone.serial}: ")
        return PhoneOutcome(serial=phone.serial, passed=False, detail=detail)


def raise_failed(outcomes: Sequence[PhoneOutcome]) -> None:
    """Fail if any phone failed.

    Raises:
        DeviceError: With the list of those that did.
    """
    failed = [one for one in outcomes if not one.passed]
    if not failed:
        return
    if len(outcomes) == 1:
        raise DeviceError(f"{failed[0].serial}: {failed[0].detail}")
    names = ", ".join(one.serial for one in failed)
    raise DeviceError(f"{len(failed)} of {len(outcomes)} phones failed: {names}")
