"""Child programs with a time limit, which never outlive us."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgedeploy.errors import DeviceError

_POLL_S = 0.05
_KEPT_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: a child must not begin by loading libraries.
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A program to run.

    Attributes:
        command: Program and arguments; no shell is involved.
        what: Subject of an error message.
        timeout_s: After which it is killed, with all that it started.
        environment: All of its variables; None for ours.
        folder: Working folder; None for ours.
    """

    command: tuple[str, ...]
    what: str
    timeout_s: float
    environment: Mapping[str, str] | None = None
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended.

    Attributes:
        code: Exit code; negative for a signal.
        text: The last mebibyte of what it printed, standard output and error mixed.
        seconds: How long it ran.
    """

    code: int
    text: str
    seconds: float

    @property
    def last_line(self) -> str:
        """What it said last, or how it ended where it said nothing."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        words = lines[-1][:300] if lines else ""
        if self.code < 0:
            death = f"died of {_signal_name(-self.code)}"
            return f"{death}; last words: {words}" if words else death
        return words or f"exit code {self.code}"


def run(job: Job) -> Ended:
    """Run a program to its end.

    Raises:
        DeviceError: If it cannot be started or takes too long.
    """
    return run_together((job,))[0]


def run_together(
    jobs: Sequence[Job], *, tick: Callable[[], None] = lambda: None
) -> tuple[Ended, ...]:
    """Run programs side by side, to the end of the last.

    Each has a process group of its own, which is killed whatever ends the wait: a
    time limit, Ctrl-C, or another's failure to start.

    Args:
        jobs: All are started at once.
        tick: Called many times a second while they run.

    Returns:
        How each ended, in the order given.

    Raises:
        DeviceError: If one cannot be started or takes too long.
    """
    with contextlib.ExitStack() as stack:
        started = [(job, *stack.enter_context(_started(job))) for job in jobs]
        begun = time.monotonic()
        seconds: dict[int, float] = {}
        while len(seconds) < len(started):
            time.sleep(_POLL_S)
            tick()
            passed = time.monotonic() - begun
            for number, (job, process, _) in enumerate(started):
                if number in seconds:
                    continue
                if _has_ended(process):
                    seconds[number] = passed
                elif passed > job.timeout_s:
                    raise DeviceError(
                        f"{job.what} did not end in {job.timeout_s:g} s and was killed"
                    )
        return tuple(
            Ended(code=_end(process), text=_tail(log), seconds=seconds[number])
            for number, (_, process, log) in enumerate(started)
        )


@contextlib.contextmanager
def _started(job: Job) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                job.command,
                cwd=job.folder,
                env=None if job.environment is None else dict(job.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Its group outlives even a SIGKILL of ours otherwise.
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise DeviceError(
                f"{job.what}: cannot start {job.command[0]} ({error.strerror or error})"
            ) from error
        try:
            yield process, log
        finally:
            _end(process)


def _die_with_parent() -> None:
    """Ask Linux to end this child when the parent goes (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a child has ended; it stays a zombie, so that its number stays its own.

    Once it is waited for, another process may get the number, and _end would kill that
    one's group.
    """
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, options) is not None


def _end(process: subprocess.Popen[bytes]) -> int:
    """End what is left of a child's group, and give the child's exit code."""
    if process.returncode is None:
        # The group may live on when its first process has ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _KEPT_BYTES))
    return log.read().decode("utf-8", "replace")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # Real-time signals have no names.
        return f"signal {number}"
