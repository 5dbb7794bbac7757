"""Compiles the Kotlin that apps take over, where there is a compiler."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from edgedeploy.errors import FormatError, PackageError
from edgedeploy.formats.zip import ZipWriter, entries, read_entry
from edgedeploy.resources import resource_folder
from edgedeploy.targets.android.assets import kotlin_sources
from edgedeploy.targets.android.versions import pinned_version

_COMPILE_S = 600
_VERSION = re.compile(r"kotlinc-jvm (\d+\.\d+\.\d+)")
# LiteRT's own classes come from LiteRT; only their signatures were compiled against.
_FOREIGN = "org/"
_FIRST = "META-INF/MANIFEST.MF"


@dataclass(frozen=True, slots=True, kw_only=True)
class KotlinClasses:
    """What goes into classes.jar.

    Attributes:
        jar: Its bytes.
        compiler: The compiler's version, or None where there is none and the jar is
            empty.
        stdlib: The version of Kotlin's library that they need, or None.
    """

    jar: bytes
    compiler: str | None
    stdlib: str | None


def compiler_version() -> str | None:
    """The version of the kotlinc on PATH; None where there is none."""
    program = shutil.which("kotlinc")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-version"],
            capture_output=True,
            text=True,
            timeout=_COMPILE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout + done.stderr)
    return found[1] if found else None


def compile_classes() -> KotlinClasses:
    """Compile the sources; without a compiler, give an empty jar.

    Returns:
        The jar; the same sources and compiler give the same bytes.

    Raises:
        PackageError: If the compiler refuses the sources.
    """
    version = compiler_version()
    if version is None:
        return KotlinClasses(jar=write_jar({}), compiler=None, stdlib=None)
    stub = resource_folder("android_assets") / "aar" / "Interpreter.kt"
    stdlib = _older(version, pinned_version("kotlin"))
    with tempfile.TemporaryDirectory(prefix="edgedeploy-") as folder:
        made = Path(folder) / "classes.jar"
        try:
            done = subprocess.run(
                [
                    *("kotlinc", *_language(stdlib), "-d", str(made)),
                    *map(str, [*kotlin_sources(), stub]),
                ],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_COMPILE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PackageError(f"kotlinc does not run: {error}") from error
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason"])[0]
            raise PackageError(f"kotlinc {version} refuses the Kotlin: {reason}")
        try:
            classes: dict[str, bytes] = {
                entry.name: read_entry(made, entry)
                for entry in entries(made)
                if not entry.name.startswith(_FOREIGN) and entry.name[-1] != "/"
            }
        except FormatError as error:
            raise PackageError(f"kotlinc left no sound jar: {error}") from error
    classes.pop(_FIRST, None)
    return KotlinClasses(jar=write_jar(classes), compiler=version, stdlib=stdlib)


def _older(one: str, other: str) -> str:
    return min(one, other, key=lambda text: [int(part) for part in text.split(".")])


def _language(version: str) -> tuple[str, ...]:
    """Write classes that apps on the pinned Kotlin can read, whatever compiles them.

    A compiler reads metadata of its own language version and the next.
    """
    language = version.rpartition(".")[0]
    return ("-language-version", language, "-api-version", language)


def write_jar(files: dict[str, bytes]) -> bytes:
    """Write a jar: sorted, without times, its manifest first.

    Args:
        files: Contents by name, without the manifest.

    Returns:
        The jar's bytes.
    """
    stream = BytesIO()
    writer = ZipWriter(stream)
    writer.add(_FIRST, b"Manifest-Version: 1.0\r\nCreated-By: edgedeploy\r\n\r\n")
    for name in sorted(files):
        writer.add(name, files[name])
    writer.finish()
    return stream.getvalue()
