"""One try at a download: receive the rest of a file.

Range requests follow RFC 9110: a partial file is continued with `Range` and, where
the server gave a strong validator, `If-Range` (section 13.1.5).
"""

from __future__ import annotations

import contextlib
import http
import os
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgedeploy.errors import FetchError
from edgedeploy.fetch.address import redact
from edgedeploy.fetch.attempts import Interrupted, Patience, Unusable
from edgedeploy.fetch.digests import Digests, Hasher, hash_file
from edgedeploy.fetch.fetched import Progress
from edgedeploy.fetch.partial import PartialFile, guard_writes
from edgedeploy.fetch.request import open_response

if TYPE_CHECKING:
    import requests

READ_BYTES = 1 << 16
SIZE_CAP_BYTES = 4 << 30


def transfer(
    session: requests.Session,
    url: str,
    *,
    partial: PartialFile,
    offset: int,
    size_bytes: int | None,
    plain_http: bool,
    progress: Progress,
    patience: Patience,
) -> Digests:
    """Receive the rest of a file.

    Args:
        session: For connections.
        url: Where from.
        partial: Where to.
        offset: Bytes of it that are there already.
        size_bytes: Promised size, or None.
        plain_http: Whether http is allowed beyond this machine.
        progress: Told of the bytes done and the total.
        patience: Timeouts.

    Returns:
        The digests of the whole file, kept part and new.

    Raises:
        Interrupted: It ended early.
        Unusable: The kept part is of no use.
        FetchError: The answer is not the file.
        WorkspaceError: The partial file cannot be written.
    """
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        validator = partial.find_validator()
        if validator:
            headers["If-Range"] = validator
    answer = open_response(
        session, url, headers=headers, plain_http=plain_http, patience=patience
    )
    most_bytes = SIZE_CAP_BYTES if size_bytes is None else size_bytes
    with contextlib.closing(answer) as response:
        start, total = _read_extent(response, offset)
        if size_bytes is not None and total not in {None, size_bytes}:
            raise FetchError(
                f"{redact(url)} announces {total} bytes; expected {size_bytes}. It is "
                f"another file, or a page of a proxy"
            )
        if total is not None and total > most_bytes:
            raise FetchError(
                f"{redact(url)} announces {total} bytes; {most_bytes} is the most that "
                f"is taken"
            )
        if start == 0:
            partial.remove()
            partial.write_note(url, response.headers)
        blocks = _receive(response, patience)
        hasher, received = _append(partial, start, blocks, most_bytes, total, progress)
    if hasher.size_bytes != (total or hasher.size_bytes):
        problem = Interrupted(f"ended after {hasher.size_bytes} of {total} bytes")
        problem.received_bytes = received
        raise problem
    return hasher.digests()


def _append(
    partial: PartialFile,
    start: int,
    blocks: Iterator[bytes],
    most_bytes: int,
    total: int | None,
    progress: Progress,
) -> tuple[Hasher, int]:
    hasher = Hasher()
    with guard_writes(partial.path):
        if start:
            hash_file(partial.path, hasher)
            if hasher.size_bytes != start:
                raise Unusable("the partial file changed meanwhile")
        file = partial.path.open("ab" if start else "wb")
    with file:
        progress(hasher.size_bytes, total)
        try:
            for block in blocks:
                if hasher.size_bytes + len(block) > most_bytes:
                    # A resumed file may just have changed; a whole one is wrong.
                    kind = Unusable if start else FetchError
                    raise kind(f"more than the expected {most_bytes} bytes came")
                with guard_writes(partial.path):
                    file.write(block)
                hasher.update(block)
                progress(hasher.size_bytes, total)
        except Interrupted as problem:
            problem.received_bytes = hasher.size_bytes - start
            raise
        with guard_writes(partial.path):
            file.flush()
            os.fsync(file.fileno())
    return hasher, hasher.size_bytes - start


def _read_extent(response: requests.Response, offset: int) -> tuple[int, int | None]:
    """Return where the answer begins, and the whole file's size if it is told."""
    if response.status_code == http.HTTPStatus.OK:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if re.fullmatch(r"\d{1,18}", length) else None
    extent = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", extent.strip())
    if not offset or not match or int(match[1]) != offset:
        raise Unusable(f"asked from byte {offset}, the answer is for {extent!r}")
    return offset, None if match[3] == "*" else int(match[3])


def _receive(response: requests.Response, patience: Patience) -> Iterator[bytes]:
    """Yield blocks as they come; a trickle counts as a stall."""
    import urllib3.exceptions

    slowest = patience.slowest_bytes_per_s
    window_began, window_bytes = time.monotonic(), 0
    while True:
        try:
            # Not read(): it waits for a full block, and a trickle would go unseen.
            block = response.raw.read1(READ_BYTES)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise Interrupted(f"stalled for {patience.stall_s:g} s") from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Interrupted("the connection broke half-way") from error
        if not block:
            return
        yield block
        window_bytes += len(block)
        now = time.monotonic()
        if now - window_began >= patience.stall_s:
            if window_bytes < slowest * (now - window_began):
                raise Interrupted(f"came slower than {slowest:g} bytes/s")
            window_began, window_bytes = now, 0
