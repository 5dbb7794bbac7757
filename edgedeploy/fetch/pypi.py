"""Wheels from the Python package index, by pip."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from edgedeploy.errors import FetchError, InputError
from edgedeploy.fetch.client import find_only_file, run_client
from edgedeploy.fetch.fetched import Unreachable
from edgedeploy.fetch.pip_failure import read_pip_failure
from edgedeploy.specs import PypiSource

# Names and versions as of the dependency specifiers specification (PEP 508, PEP 440).
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*")


def download_wheel(source: PypiSource, folder: Path) -> Path:
    """Download one wheel, without what it depends on.

    Args:
        source: What to get.
        folder: Empty; the wheel and nothing else is left in it.

    Returns:
        The wheel. pip has compared its SHA-256.

    Raises:
        InputError: If the requirement is not pinned exactly.
        Unreachable: If the index cannot be reached.
        FetchError: If it has other bytes, or none.
    """
    if not _PINNED.fullmatch(source.requirement):
        raise InputError(
            f"a PyPI source is pinned as name==version; found {source.requirement!r}"
        )
    requirements = folder / "requirements.txt"
    requirements.write_text(
        f"{source.requirement} --hash=sha256:{source.sha256.lower()}\n", "utf-8"
    )
    command = [sys.executable, "-m", "pip", "download", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--timeout", "10", "--retries", "2"]
    command += ["-d", str(folder), "-r", str(requirements)]
    outcome = run_client(command, folder=folder)
    requirements.unlink(missing_ok=True)
    if outcome.code:
        raise _explain(source, outcome.text)
    return find_only_file(folder, "*.whl", f"PyPI {source.requirement}")


def _explain(source: PypiSource, text: str) -> FetchError:
    subject, failure = f"PyPI {source.requirement}", read_pip_failure(text)
    if failure.missing:
        return FetchError(
            f"{subject} needs pip, which {sys.executable} lacks; get it with "
            f"'python -m ensurepip'"
        )
    if "DO NOT MATCH THE HASHES" in text:
        got = re.search(r"Got\s+([0-9a-f]{64})", text)
        return FetchError(
            f"{subject} came with other bytes than promised: expected sha256 "
            f"{source.sha256}, received {got[1] if got else 'another'}"
        )
    if failure.no_answer:
        return Unreachable(
            f"could not reach the package index for {subject}; check pip's network "
            f"and index settings with 'pip config list'"
        )
    if any("No matching distribution" in line for line in failure.errors):
        return FetchError(
            f"the package index in use does not have {subject}; see 'pip config list'"
        )
    reason = failure.reason("no reason given")
    return FetchError(f"pip could not download {subject}: {reason}")
