"""The scheduler of a cluster: its address, and being its client."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from edgedeploy.errors import EvaluationError, InputError

SCHEME = "dask://"
_CONNECT_S = 10.0
_LAST, _DIGITS = 65535, 5


def parse_engine(text: str) -> str:
    """Read the value of --engine.

    Args:
        text: "local", or dask://host:port.

    Returns:
        The scheduler's address as dask writes it; "" for this machine.

    Raises:
        InputError: If it is neither.
    """
    if text == "local":
        return ""
    host, _, port = text.removeprefix(SCHEME).rpartition(":")
    # More than five digits are no port, and thousands of them no number either.
    known = port.isascii() and port.isdecimal() and len(port) <= _DIGITS
    if not (text.startswith(SCHEME) and host and known and 0 < int(port) <= _LAST):
        raise InputError(
            f"engine must be local or {SCHEME}host:port, such as "
            f"{SCHEME}scheduler:8786, with a port from 1 to {_LAST}; received "
            f"{text[:80]!r}"
        )
    return f"tcp://{host}:{int(port)}"


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Be a client of a scheduler.

    Args:
        address: As `parse_engine` gives it.

    Yields:
        A distributed.Client.

    Raises:
        InputError: If dask.distributed is not installed.
        EvaluationError: If no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "--engine dask:// needs dask.distributed; pip install edgedeploy[cluster]"
        ) from error
    # What goes wrong is said once, as our error.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise EvaluationError(
            f"{address}: no dask scheduler answers there ({_reason(error)}); "
            "start one with dask scheduler, or leave --engine out"
        ) from error
    try:
        # distributed.wait asks for the client that is current.
        with client.as_current():
            yield client
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=_CONNECT_S)


def _reason(error: BaseException) -> str:
    """Say what the operating system said, which dask wraps in errors of its own."""
    cause: BaseException | None = error
    said = ""
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            said = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return said or " ".join(str(error).split())[:200] or type(error).__name__


def lost(what: str) -> str:
    """Say that the scheduler vanished in the middle of something."""
    return (
        f"{what}: the scheduler is gone; what is scored is kept, so start it and run "
        "the same command again"
    )
