"""Run a package registry's own client, which knows how its registry is reached."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import FetchError
from edgedeploy.fetch.fetched import Unreachable

TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a client ended: its exit code and all it printed."""

    code: int
    text: str


def run_client(
    command: list[str], *, folder: Path, timeout_s: float = TIMEOUT_S
) -> Outcome:
    """Run a client to its end.

    Args:
        command: Program and arguments; no shell is involved.
        folder: Working folder.
        timeout_s: After which it is killed, with all that it started.

    Returns:
        How it ended.

    Raises:
        FetchError: If it cannot be started.
        Unreachable: If it takes longer.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A group of its own: npm starts node, which would outlive it.
            start_new_session=True,
        )
    except OSError as error:
        raise FetchError(
            f"cannot start {command[0]}: {error.strerror or error}"
        ) from error
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise Unreachable(
            f"{Path(command[0]).name} did not end in {timeout_s:g} s; the registry "
            f"hangs. Try again later"
        ) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Outcome(code=process.returncode, text=output.decode("utf-8", "replace"))


def find_only_file(folder: Path, pattern: str, subject: str) -> Path:
    """Return the one file that a client left.

    Args:
        folder: Where it was told to leave it.
        pattern: Of its name.
        subject: What was asked for.

    Returns:
        The file.

    Raises:
        FetchError: If there is none, or more than one.
    """
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise FetchError(f"{subject} should be one {pattern} file; received {names}")
    return files[0]
