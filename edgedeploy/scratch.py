"""Half-made folders in the cache: whose they are, and removing those of the dead."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

# Another machine's process cannot be asked whether it lives; nothing takes a day.
_FOREIGN_S = 86400.0


def make_scratch(parent: Path, kind: str) -> Path:
    """Make a hidden folder for half-made things, after removing abandoned ones.

    Args:
        parent: An existing folder on the file system where the result shall be.
        kind: What is made, such as "incoming".

    Returns:
        A new folder; its name tells this machine and process.

    Raises:
        OSError: If it cannot be made.
    """
    remove_abandoned(parent, kind)
    owner = f"{_machine()}+{os.getpid()}+"
    return Path(tempfile.mkdtemp(prefix=f".{kind}-{owner}", dir=parent))


def remove_abandoned(parent: Path, kind: str) -> None:
    """Remove folders of processes that do not live any more.

    Args:
        parent: Where to look.
        kind: As in `make_scratch`.
    """
    for folder in parent.glob(f".{kind}-*"):
        if _abandoned(folder, kind):
            shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder: Path, kind: str) -> bool:
    machine, _, rest = folder.name.removeprefix(f".{kind}-").partition("+")
    process = rest.partition("+")[0]
    if not process.isdigit():
        return True
    if machine != _machine():
        with contextlib.suppress(OSError):
            return time.time() - folder.stat().st_mtime > _FOREIGN_S
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        # Somebody else's process of that number: alive, as far as can be told.
        return False
    return False


def _machine() -> str:
    return socket.gethostname().replace("+", "-").replace("/", "-")[:64]
