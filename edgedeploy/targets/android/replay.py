"""What a check of an APK runs in a child process: models that may crash it."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from edgedeploy.isolate import Progress
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.selftest import run_selftest
from edgedeploy.targets.android.apk import map_asset


def compare_mapped(*, progress: Progress, path: str, name: str) -> dict[str, Any]:
    """Run a model from its place in the package and from a file.

    Args:
        progress: Not needed; the work takes a second.
        path: The APK.
        name: The model's entry.

    Returns:
        {"equal": bool, "difference": largest absolute difference of the outputs}.
    """
    del progress
    view, _ = map_asset(Path(path), name)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "model.tflite"
        plain.write_bytes(view)
        from_file = Model(plain)
        from_package = Model(bytes(view))
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, from_file.input.shape)
        values = pixels.astype(from_file.input.dtype)
        if not from_file.input.quantised:
            values = (values / 255).astype(from_file.input.dtype)
        expected, found = from_file.invoke(values), from_package.invoke(values)
    difference = np.abs(expected.astype(np.float64) - found.astype(np.float64))
    return {
        "equal": bool(np.array_equal(expected, found)),
        "difference": float(difference.max()),
    }


def replay_payload(*, progress: Progress, path: str, folder: str) -> dict[str, Any]:
    """Unpack a payload and run the device's self-test on it.

    Args:
        progress: Not needed.
        path: The APK.
        folder: The payload's folder in it.

    Returns:
        The self-test's report.
    """
    del progress
    with tempfile.TemporaryDirectory() as unpacked, zipfile.ZipFile(path) as archive:
        # ZipFile.extract drops what would lead out of the folder.
        for name in archive.namelist():
            if name.startswith(f"{folder}/"):
                archive.extract(name, unpacked)
        return run_selftest(Path(unpacked) / folder)
