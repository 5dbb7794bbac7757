"""Printing answers: text for people, JSON lines for programs, errors in one line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import Guess

PROGRAM = "classify"


class Answers:
    """Prints answers as they come and counts what went wrong.

    Args:
        as_json: One JSON object a line instead of text.

    Attributes:
        given: Answers so far.
        failures: Errors so far.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.given = 0
        self.failures = 0
        soften_output()

    def answer_file(self, name: str, guesses: tuple[Guess, ...]) -> None:
        """Print what a picture file shows."""
        self._answer({"file": name}, printable(name), guesses)

    def answer_frame(
        self, camera: str, number: int, guesses: tuple[Guess, ...]
    ) -> None:
        """Print what a camera's frame shows; time is UTC, frames count from 1."""
        moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        moment = moment.replace("+00:00", "Z")
        self._answer(
            {"camera": camera, "frame": number, "time": moment},
            f"{moment} {printable(camera)} {number}",
            guesses,
        )

    def fail(self, error: object) -> None:
        """Print an error as one line on stderr."""
        self.failures += 1
        print_error(error)

    def _answer(
        self, what: dict[str, Any], title: str, guesses: tuple[Guess, ...]
    ) -> None:
        self.given += 1
        if self._as_json:
            answer = what | {"top": [asdict(guess) for guess in guesses]}
            print(json.dumps(answer), flush=True)
            return
        names = ", ".join(f"{g.label} {g.score:.3f}" for g in guesses)
        print(f"{title}: {names}", flush=True)


def print_error(error: object) -> None:
    """Print an error as one line on stderr, whatever a file's name holds."""
    lines = str(error).splitlines() or [""]
    print(f"{PROGRAM}: {printable(' '.join(lines))}", file=sys.stderr, flush=True)


def soften_output() -> None:
    """File names can hold bytes that the terminal's encoding cannot."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """Escape a text that could move a terminal's cursor or break a line."""
    return text if text.isprintable() else ascii(text)[1:-1]
