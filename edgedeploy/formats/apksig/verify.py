"""Verifies an APK's signatures; written from the specifications, not from the signer.

Sources: source.android.com, "APK Signature Scheme v2" and "v3", sections
"Verification" and "Stripping protection".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.errors import FormatError
from edgedeploy.formats.apksig.block import read_blocks
from edgedeploy.formats.apksig.jar import verify_jar
from edgedeploy.formats.apksig.report import SignatureReport
from edgedeploy.formats.apksig.scheme import SchemeCheck, verify_scheme
from edgedeploy.formats.archive import open_source
from edgedeploy.formats.zip_reader import entries, find_end

if TYPE_CHECKING:
    from pathlib import Path

_SCHEME_IDS = {2: 0x7109871A, 3: 0xF05368C0}
_PADDING_BLOCK = 0x42726577


def verify(source: Path | bytes) -> SignatureReport:
    """Check every signature that a package carries, all schemes.

    Stricter than a device, which takes the newest scheme it knows and stops there:
    every scheme present must hold, with the same certificate; where v3 proves that
    the key was rotated, the older schemes may have an older one.

    Args:
        source: The APK's path or its bytes.

    Returns:
        What holds and what does not; a malformed package is a problem, not an
        exception.

    Raises:
        InputError: If the file cannot be opened.
    """
    try:
        found = entries(source)
        with open_source(source) as stream:
            blocks = read_blocks(stream, find_end(stream))
            checks = [
                verify_scheme(stream, blocks, scheme, blocks.pairs[identifier])
                for scheme, identifier in _SCHEME_IDS.items()
                if identifier in blocks.pairs
            ]
            jar = verify_jar(stream, found)
    except FormatError as error:
        return SignatureReport(
            schemes=(),
            certificate_sha256=None,
            problems=(f"malformed package: {error}",),
            unknown_blocks=(),
        )
    if jar is not None:
        checks.insert(0, jar)
    problems = [problem for check in checks for problem in check.problems]
    if any(blocks.pairs.get(_PADDING_BLOCK, b"")):
        problems.append("the signing block's padding is not zero")
    problems += _missing_schemes(checks)
    holding = [check for check in checks if not check.problems]
    newest = {check.certificate_sha256 for check in checks if check.scheme == 3}
    lineage = {old for check in holding for old in check.lineage}
    certificates = {check.certificate_sha256 for check in checks} - {None}
    if len(certificates - (lineage - newest)) > 1:
        problems.append("the schemes are signed with different certificates")
    if not checks:
        problems.append("the package is not signed")
    known = {*_SCHEME_IDS.values(), _PADDING_BLOCK}
    return SignatureReport(
        schemes=tuple(check.scheme for check in holding),
        certificate_sha256=holding[-1].certificate_sha256 if holding else None,
        problems=tuple(problems),
        unknown_blocks=tuple(sorted(blocks.pairs.keys() - known)),
    )


def _missing_schemes(checks: list[SchemeCheck]) -> list[str]:
    present = {check.scheme for check in checks}
    return [
        f"scheme v{check.scheme} says that v{scheme} signed the package too, but it "
        "is missing; somebody has removed it"
        for check in checks
        for scheme in check.promised_schemes
        if scheme not in present
    ]
