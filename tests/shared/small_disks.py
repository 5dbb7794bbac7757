"""File systems of their own, which can be full or read-only."""

import contextlib
import os
import subprocess

import pytest


@contextlib.contextmanager
def small_disk(folder, size):
    """Mount a small file system; skips where mounting is not allowed.

    Args:
        folder: Where; it is made.
        size: As mount(8) takes it, such as "64k".

    Yields:
        The folder.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if (
        os.geteuid()
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("a full disk needs the right to mount a tmpfs; run as root")
    try:
        yield folder
    finally:
        # A test that failed may have left a file open.
        subprocess.run(["umount", "--lazy", folder], check=True)
