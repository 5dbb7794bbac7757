"""How often a download is tried, and how long is waited in between."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from edgedeploy.errors import FetchError
from edgedeploy.fetch.address import redact
from edgedeploy.fetch.fetched import Unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait and how often to try.

    Attributes:
        connect_s: For name look-up and connection.
        stall_s: Without a byte, or below `slowest_bytes_per_s`, before giving up.
        slowest_bytes_per_s: A slower trickle is a stall.
        tries: Failures in a row, without progress between them.
        connect_budget_s: For all connection failures in a row together.
        first_pause_s: Before the second try; doubled each time.
        longest_pause_s: Cap of the doubling.
        longest_retry_after_s: Longest wait that a server may ask for.
        progress_bytes: Received in one try, they make it a success in part.
        most_transfers: Cap of all tries, progress or not.
    """

    connect_s: float = 5.0
    stall_s: float = 15.0
    slowest_bytes_per_s: float = 1024.0
    tries: int = 4
    connect_budget_s: float = 8.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 8.0
    longest_retry_after_s: float = 60.0
    progress_bytes: int = 1 << 16
    most_transfers: int = 200


class Interrupted(Exception):  # noqa: N818 - a state of the transfer, not a report.
    """The transfer did not come to its end; another try may.

    Attributes:
        again: Whether another try makes sense.
        retry_after_s: How long the server asked to wait, or None.
        received_bytes: New bytes that are safe in the partial file.
    """

    def __init__(
        self, reason: str, *, again: bool = True, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.again = again
        self.retry_after_s = retry_after_s
        self.received_bytes = 0


class NobodyThere(Interrupted):
    """No connection could be made."""


class Unusable(Exception):  # noqa: N818 - a state of the partial file.
    """What is there cannot be continued; begin again from nothing."""


class Attempts:
    """Counts failures and decides how long to pause, or that it is enough."""

    def __init__(self, url: str, patience: Patience) -> None:
        self._url = redact(url)
        self._patience = patience
        self._failures = 0
        self._transfers = 0
        self._restarts = 0
        self._connecting_since: float | None = None
        self._last = time.monotonic()

    def take_pause(self, problem: Interrupted) -> float:
        """Return the seconds to wait before the next try, or raise `Unreachable`."""
        patience = self._patience
        self._transfers += 1
        progressed = problem.received_bytes >= patience.progress_bytes
        self._failures = 1 if progressed else self._failures + 1
        pause = min(
            patience.longest_pause_s,
            patience.first_pause_s * 2.0 ** (self._failures - 1),
        )
        # Half of the pause is random, lest many clients come back together.
        pause *= 0.5 + random.SystemRandom().random() / 2
        if problem.retry_after_s is not None:
            pause = max(pause, problem.retry_after_s)
        enough = (
            not problem.again
            or self._failures >= patience.tries
            or self._transfers >= patience.most_transfers
            or pause > patience.longest_retry_after_s
            or self._is_out_of_budget(problem, pause)
        )
        if enough:
            raise Unreachable(f"could not reach {self._url}: {problem}") from problem
        return pause

    def start_over(self, problem: Unusable) -> None:
        """Allow for two fresh beginnings, or raise `FetchError`."""
        self._restarts += 1
        if self._restarts > 2:
            raise FetchError(
                f"{self._url} could not be downloaded in one piece: {problem}"
            ) from problem

    def _is_out_of_budget(self, problem: Interrupted, pause: float) -> bool:
        now = time.monotonic()
        began, self._last = self._last, now + pause
        if not isinstance(problem, NobodyThere):
            self._connecting_since = None
            return False
        if self._connecting_since is None:
            self._connecting_since = began
        spent_s = now - self._connecting_since
        return spent_s + pause > self._patience.connect_budget_s
