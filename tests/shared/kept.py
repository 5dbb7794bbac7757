"""Folders that several tests share, and how the run's processes make each only once."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

# The run's own folder: the first process makes it, the others inherit its name.
RUN = "EDGEDEPLOY_TEST_RUN"


def kept_folder(name):
    """Make a folder that outlives the tests but not the process."""
    folder = Path(tempfile.mkdtemp(prefix=f"edgedeploy-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def begin_run():
    """Make the run's folder, gone when the process that began ends."""
    os.environ[RUN] = str(kept_folder("run"))


def made_once(name, make):
    """Fill a folder in one of the run's processes; the others wait and take it.

    Args:
        name: The folder's, unique in the run.
        make: Called with the empty folder.

    Returns:
        The filled folder, to be read and not changed.
    """
    folder = Path(os.environ[RUN]) / name
    done = folder / ".made"
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
