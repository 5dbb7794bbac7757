"""Folders for what several tests share, gone when the tests' process ends."""

import atexit
import shutil
import tempfile
from pathlib import Path


def kept_folder(name):
    """Make a folder that outlives the tests but not the process."""
    folder = Path(tempfile.mkdtemp(prefix=f"edgedeploy-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
