"""The difference between a check that failed and one that could not be made."""

from __future__ import annotations

from edgedeploy.errors import DeviceError


class Unavailable(DeviceError):  # noqa: N818  (named as the state it reports)
    """This machine cannot emulate; the message says what it lacks."""
