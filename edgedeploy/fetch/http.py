"""Downloads over HTTPS that survive stalls, resets, lies and kills."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgedeploy.errors import FetchError
from edgedeploy.fetch.address import redact
from edgedeploy.fetch.attempts import Attempts, Interrupted, Patience, Unusable
from edgedeploy.fetch.digests import Digests, Expected
from edgedeploy.fetch.fetched import Progress
from edgedeploy.fetch.partial import PartialFile
from edgedeploy.fetch.transfer import transfer

if TYPE_CHECKING:
    import requests


def download(
    url: str,
    *,
    part: Path,
    expected: Expected,
    plain_http: bool,
    progress: Progress,
    patience: Patience | None = None,
) -> Digests:
    """Download a file, resuming what an earlier run left of it.

    Args:
        url: Where from; https, or http on this machine or a mirror the user named.
        part: Partial file; complete and synced on return, kept on failure unless its
            bytes are wrong. A small JSON file beside it tells what it is part of.
        expected: Checked before return.
        plain_http: Whether http is allowed beyond this machine.
        progress: Told of the bytes done and the total.
        patience: Timeouts and tries, or None for the usual.

    Returns:
        The digests of the whole file.

    Raises:
        Unreachable: Nobody answered, or not to the end, after all tries.
        FetchError: Other bytes than promised.
        WorkspaceError: The partial file cannot be written.
    """
    import requests

    patience = patience or Patience()
    partial = PartialFile(part)
    with requests.Session() as session:
        attempts = Attempts(url, patience)
        while True:
            try:
                digests = _attempt(
                    session, url, partial, expected, plain_http, progress, patience
                )
            except Interrupted as problem:
                pause_s = attempts.take_pause(problem)
            except Unusable as problem:
                partial.remove()
                attempts.start_over(problem)
                pause_s = 0.0
            else:
                return digests
            time.sleep(pause_s)


def _attempt(
    session: requests.Session,
    url: str,
    partial: PartialFile,
    expected: Expected,
    plain_http: bool,
    progress: Progress,
    patience: Patience,
) -> Digests:
    offset = partial.find_offset(url, expected.size_bytes)
    if expected.size_bytes is None or offset < expected.size_bytes:
        digests = transfer(
            session,
            url,
            partial=partial,
            offset=offset,
            size_bytes=expected.size_bytes,
            plain_http=plain_http,
            progress=progress,
            patience=patience,
        )
    else:
        # Killed after the last byte.
        digests = partial.hash()
        progress(offset, offset)
    mismatch = expected.find_mismatch(digests)
    if mismatch is None:
        return digests
    if offset:
        raise Unusable(f"resumed: {mismatch}")
    partial.remove()
    raise FetchError(
        f"{redact(url)} served other bytes than promised: {mismatch}; nothing of it is "
        f"kept. Try again on another network, or name a mirror"
    )
