"""What pip printed before it failed, sorted by what its user can do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Names of urllib3's and Python's exceptions, and answers of proxies and busy servers.
_NO_ANSWER = re.compile(
    r"NewConnectionError|Timeout|NameResolutionError|ProxyError|ConnectionResetError"
    r"|ProtocolError|Max retries exceeded|RemoteDisconnected"
    r"|HTTP error (?:403|407|429|5\d\d)|(?:403|407|429|5\d\d) (?:Client|Server) Error"
)
_ERROR = re.compile(r"^ERROR: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipFailure:
    """Why pip failed.

    Attributes:
        missing: Whether this Python has no pip at all.
        no_answer: Whether the package index could not be reached.
        errors: What pip itself calls errors, in their order.
    """

    missing: bool
    no_answer: bool
    errors: tuple[str, ...]

    def reason(self, otherwise: str) -> str:
        """Give the last of the errors.

        Args:
            otherwise: What to say where there is none.
        """
        return self.errors[-1].strip() if self.errors else otherwise


def read_pip_failure(text: str) -> PipFailure:
    """Read why pip failed.

    Args:
        text: All that it printed.
    """
    return PipFailure(
        missing="No module named pip" in text,
        no_answer=_NO_ANSWER.search(text) is not None,
        errors=tuple(_ERROR.findall(text)),
    )
