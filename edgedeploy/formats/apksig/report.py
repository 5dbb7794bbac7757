"""What the verifier of APK signatures found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureReport:
    """The outcome of checking a package's signatures.

    Attributes:
        schemes: Schemes that are present and hold, ascending: of 1, 2 and 3.
        certificate_sha256: Of the first signer; None when no scheme holds.
        problems: What is wrong, one line each; empty is good.
        unknown_blocks: Ids in the APK Signing Block that no scheme covers and this
            verifier does not check, ascending.
    """

    schemes: tuple[int, ...]
    certificate_sha256: str | None
    problems: tuple[str, ...]
    unknown_blocks: tuple[int, ...]

    @property
    def verified(self) -> bool:
        """Whether at least one scheme holds and nothing is wrong."""
        return bool(self.schemes) and not self.problems
