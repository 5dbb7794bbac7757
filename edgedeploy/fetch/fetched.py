"""What a fetch gives back, and how it says that nobody answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import FetchError

Progress = Callable[[int, int | None], None]
"""Called with the bytes done so far and the total, or None if it is unknown."""


class Unreachable(FetchError):  # noqa: N818 - reads as what happened, like TimeoutError.
    """Nobody answered: no name, no connection, a proxy's refusal, a sick server.

    Other weights may stand in for these, unlike after wrong bytes, which are a
    `FetchError` that is not an `Unreachable`.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An artefact whose digest has been checked.

    Attributes:
        path: The file, or the folder where the source names one.
        sha256: SHA-256 (hexadecimal) of the artefact as served: the .h5, the wheel,
            the tarball.
        size_bytes: Size of the artefact as served.
        origin: Where it came from, for people and for the lock.
    """

    path: Path
    sha256: str
    size_bytes: int
    origin: str
