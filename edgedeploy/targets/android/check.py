"""Check any Android package with models in it as a device would use it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from edgedeploy.errors import FormatError
from edgedeploy.formats import apksig
from edgedeploy.formats.apksig.jar import verify_jar
from edgedeploy.formats.archive import open_source
from edgedeploy.formats.zip import entries
from edgedeploy.results import Check
from edgedeploy.targets.android.checks import clients
from edgedeploy.targets.android.checks.classes import check_classes
from edgedeploy.targets.android.checks.contents import (
    Contents,
    PackagedFile,
    open_contents,
)
from edgedeploy.targets.android.checks.integrity import check_integrity
from edgedeploy.targets.android.checks.libraries import check_libraries, find_runtimes
from edgedeploy.targets.android.checks.models import check_model
from edgedeploy.targets.android.checks.placement import (
    check_in_apk,
    check_in_bundle,
    check_in_module,
)
from edgedeploy.targets.android.checks.running import (
    has_neighbours,
    replay_payloads,
    run_model,
)

# What a folder has that Android Studio opens as a project.
_PROJECT = "settings.gradle.kts"

# Pairs of the signing block that others write and no scheme checked here covers:
# apksig's constants, and Play's.
_BLOCKS = {
    0x1B93AD61: "v3.1 signature, not checked here",
    0x2B09189E: "source stamp",
    0x6DFF800D: "source stamp",
    0x504B4453: "list of dependencies, encrypted for Play",
    0x2146444E: "Play's own",
}


def check_apk(path: Path) -> tuple[Check, ...]:
    """Check an APK: signatures, tampering, alignment, labels, operators, answers.

    Args:
        path: An APK, ours or anybody's.

    Returns:
        One check each; a malformed package fails checks, it raises nothing.

    Raises:
        InputError: If the file cannot be opened.
    """
    checks = [
        _apk_signatures(path),
        clients.ask_apksigner(path),
        clients.ask_aapt2(path),
    ]
    contents = _open(path, checks)
    if contents is None:
        return tuple(checks)
    checks += read_contents(contents, check_in_apk)
    checks += _run_contents(contents)
    checks.append(_tampering(contents, signed=checks[0].passed is True))
    return tuple(checks)


def check_app_bundle(path: Path) -> tuple[Check, ...]:
    """Check an app bundle (.aab), and the packages that bundletool makes from it.

    Args:
        path: A bundle, ours or anybody's.

    Returns:
        One check each; a malformed bundle fails checks, it raises nothing.

    Raises:
        InputError: If the file cannot be opened.
    """
    checks = [check_jar_signature(path), clients.ask_jarsigner(path)]
    contents = _open(path, checks)
    if contents is None:
        return tuple(checks)
    checks += clients.ask_bundletool(path)
    checks += read_contents(contents, lambda file: check_in_bundle(contents, file))
    checks += _run_contents(contents)
    return tuple(checks)


def check_library(path: Path) -> tuple[Check, ...]:
    """Check an Android library (.aar).

    Args:
        path: A library, ours or anybody's.

    Returns:
        One check each; a malformed library fails checks, it raises nothing.

    Raises:
        InputError: If the file cannot be opened.
    """
    checks: list[Check] = []
    contents = _open(path, checks)
    if contents is None:
        return tuple(checks)
    checks += read_contents(contents, lambda file: check_in_module(file, "an AAR"))
    checks.append(check_classes(contents))
    checks += _run_contents(contents)
    return tuple(checks)


def check_folder(path: Path) -> tuple[Check, ...]:
    """Check a folder of Gradle sources: an asset pack, an AI pack, an app's assets.

    Args:
        path: The folder.

    Returns:
        One check each.

    Raises:
        InputError: If the folder cannot be read.
    """
    checks: list[Check] = []
    contents = _open(path, checks)
    if contents is None:
        return tuple(checks)
    checks += read_contents(contents, lambda file: check_in_module(file, "a folder"))
    checks += _run_contents(contents)
    if contents.find(_PROJECT):
        checks.append(
            Check(
                level="device",
                name="Gradle",
                passed=None,
                detail="not run here: building the app needs Gradle and the Android "
                "SDK; open the folder in Android Studio",
            )
        )
    return tuple(checks)


def _open(path: Path, checks: list[Check]) -> Contents | None:
    try:
        return open_contents(path)
    except FormatError as error:
        checks.append(Check(level="file", name="zip", passed=False, detail=str(error)))
        return None


def read_contents(
    contents: Contents, placement: Callable[[PackagedFile], Check]
) -> Iterator[Check]:
    """Check everything that can be told without running a model.

    Args:
        contents: The package.
        placement: Judges how a model lies in this kind of package.

    Yields:
        One check each.
    """
    if not contents.models:
        yield Check(
            level="file",
            name="models",
            passed=False,
            detail="the package holds no .tflite file",
        )
    runtimes = find_runtimes(contents)
    for model in contents.models:
        yield placement(model)
        if has_neighbours(contents, model):
            yield Check(
                level="file",
                name=f"{model.name} metadata",
                passed=None,
                detail="not looked for: it gives embeddings, neighbours the classes",
            )
        else:
            yield from check_model(contents, model, runtimes)
    yield from check_libraries(contents)
    yield from check_integrity(contents)


def _run_contents(contents: Contents) -> Iterator[Check]:
    for model in contents.models:
        yield from run_model(contents, model)
    yield from replay_payloads(contents)


def _apk_signatures(path: Path) -> Check:
    report = apksig.verify(path)
    schemes = ", ".join(f"v{scheme}" for scheme in report.schemes) or "none"
    detail = "; ".join(report.problems) or (
        f"{schemes} hold, certificate {(report.certificate_sha256 or '')[:16]}…"
    )
    if report.unknown_blocks:
        blocks = ", ".join(
            f"0x{block:08x} ({_BLOCKS.get(block, 'unknown')})"
            for block in report.unknown_blocks
        )
        detail += f"; unsigned blocks: {blocks}"
    return Check(level="file", name="signatures", passed=report.verified, detail=detail)


def check_jar_signature(path: Path) -> Check:
    """Check the signature of a bundle, which Play's upload asks for.

    Args:
        path: The bundle.

    Raises:
        InputError: If the file cannot be opened.
    """
    try:
        found = entries(path)
        with open_source(path) as stream:
            report = verify_jar(stream, found)
    except FormatError as error:
        return Check(level="file", name="signature", passed=False, detail=str(error))
    if report is None:
        return Check(
            level="file",
            name="signature",
            passed=False,
            detail="the bundle is not signed; Play's upload refuses it",
        )
    detail = "; ".join(report.problems) or (
        f"holds, certificate {(report.certificate_sha256 or '')[:16]}…"
    )
    return Check(
        level="file", name="signature", passed=not report.problems, detail=detail
    )


def _tampering(contents: Contents, *, signed: bool) -> Check:
    """Flip one byte of the first model and see that the signatures notice."""
    name = "tampering is noticed"
    if not signed:
        # Nothing that fails already could show whether a flipped byte is noticed.
        return Check(
            level="file",
            name=name,
            passed=None,
            detail="not tried: the package's signatures do not hold as it is",
        )
    placed = [file.entry for file in contents.models if file.entry]
    first = placed[0] if placed else None
    position = first.data_offset + first.compressed_bytes // 2 if first else 0
    try:
        with tempfile.TemporaryDirectory(prefix="edgedeploy-") as folder:
            # On the disk, since a package may be larger than the memory that is free.
            copy = Path(folder) / "changed.apk"
            shutil.copyfile(contents.path, copy)
            with copy.open("r+b") as stream:
                stream.seek(position)
                byte = stream.read(1)[0]
                stream.seek(position)
                stream.write(bytes([byte ^ 1]))
            report = apksig.verify(copy)
    except OSError as error:
        return Check(level="file", name=name, passed=None, detail=f"not tried: {error}")
    return Check(
        level="file",
        name=name,
        passed=not report.verified,
        detail=report.problems[0]
        if report.problems
        else f"byte {position} was flipped, and no signature noticed",
    )
