"""What a check of an APK runs in a child process: models that may crash it."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from edgedeploy.errors import FormatError
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.selftest import run_selftest
from edgedeploy.ondevice.trial import make_input
from edgedeploy.targets.android.apk import map_asset
from edgedeploy.targets.android.checks.contents import open_contents

# Labels, contract, licences and golden pictures; models are stored, so a package
# cannot hold more of them than its own size.
MAX_DEFLATED_BYTES = 256 << 20


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


def run_extracted(*, progress: Progress, path: str, name: str) -> dict[str, Any]:
    """Run a model that cannot be mapped where it lies, twice.

    Args:
        progress: Not needed; the work takes a second.
        path: The archive or the folder.
        name: The model's name in it.

    Returns:
        {"equal": whether both runs answer alike, "difference": by how much}.
    """
    del progress
    package = Path(path)
    with tempfile.TemporaryDirectory() as folder:
        plain = package / name
        if not package.is_dir():
            contents = open_contents(package)
            file = contents.find(name)
            if file is None:
                raise FormatError(f"{path}: it has no entry {name!r}")
            plain = Path(folder) / "model.tflite"
            plain.write_bytes(contents.read(file))
        model = Model(plain)
        values = make_input(model.input, 0)
        # Copied, since a runtime may answer in the same memory twice.
        expected = np.array(model.invoke(values))
        found = np.array(model.invoke(values))
    difference = np.abs(expected.astype(np.float64) - found.astype(np.float64))
    return {
        "equal": bool(np.array_equal(expected, found)),
        "difference": float(difference.max(initial=0.0)),
    }


def replay_payload(*, progress: Progress, path: str, folder: str) -> dict[str, Any]:
    """Unpack a payload and run the device's self-test on it.

    Args:
        progress: Not needed.
        path: The archive, or a folder.
        folder: The payload's folder in it.

    Returns:
        The self-test's report.

    Raises:
        FormatError: If it is no payload but a bomb, or cannot be unpacked.
    """
    del progress
    if Path(path).is_dir():
        return run_selftest(Path(path) / folder, native=False)
    with tempfile.TemporaryDirectory() as unpacked:
        try:
            _unpack(Path(path), folder, unpacked)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise FormatError(f"{folder} cannot be unpacked: {error}") from error
        # The package may be anybody's, so its native code is left alone.
        return run_selftest(Path(unpacked) / folder, native=False)


def _unpack(path: Path, folder: str, target: str) -> None:
    # A payload may be all that an archive holds.
    prefix = "" if folder == "." else f"{folder}/"
    with zipfile.ZipFile(path) as archive:
        inside = [
            info for info in archive.infolist() if info.filename.startswith(prefix)
        ]
        deflated = sum(
            info.file_size
            for info in inside
            if info.compress_type != zipfile.ZIP_STORED
        )
        if deflated > MAX_DEFLATED_BYTES:
            raise FormatError(
                f"{folder} would unpack to {deflated >> 20} MiB; expected at most "
                f"{MAX_DEFLATED_BYTES >> 20} MiB beside the models"
            )
        for info in inside:
            # ZipFile.extract drops what would lead out of the folder.
            archive.extract(info, target)
