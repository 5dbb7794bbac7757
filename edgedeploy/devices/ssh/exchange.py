"""Talk to a child program without either side waiting for the other for ever."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable
from typing import IO

MAX_ANSWER_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 16
_LAST_READ_S = 10.0

Send = Callable[[IO[bytes]], None]


def exchange(
    process: subprocess.Popen[bytes], text: bytes, send: Send | bytes, timeout_s: float
) -> tuple[str, str] | None:
    """Write to a program and read what it says until it ends.

    Args:
        process: Just started, with three pipes.
        text: What is written first.
        send: What is written then, or what writes it.
        timeout_s: After which the program is killed.

    Returns:
        Standard output and error, each cut after `MAX_ANSWER_BYTES`; None if it was
        killed for being late.
    """
    failures: list[Exception] = []
    kept = (bytearray(), bytearray())
    threads = [
        threading.Thread(target=_write, args=(process, text, send, failures)),
        threading.Thread(target=_read, args=(process, process.stdout, kept[0])),
        threading.Thread(target=_read, args=(process, process.stderr, kept[1])),
    ]
    for thread in threads:
        thread.daemon = True
        thread.start()
    timely = True
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        timely = False
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    for thread in threads:
        thread.join(timeout=_LAST_READ_S)
    if failures:
        raise failures[0]
    if not timely:
        return None
    return kept[0].decode(errors="replace"), kept[1].decode(errors="replace")


def _write(
    process: subprocess.Popen[bytes],
    text: bytes,
    send: Send | bytes,
    failures: list[Exception],
) -> None:
    pipe = process.stdin
    if pipe is None:
        return
    try:
        pipe.write(text)
        pipe.flush()
        if callable(send):
            send(pipe)
        else:
            pipe.write(send)
        pipe.close()
    except BrokenPipeError:
        # Whoever ended early has said why in the answer.
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
    except Exception as error:
        failures.append(error)
        process.kill()
        with contextlib.suppress(OSError):
            pipe.close()


def _read(
    process: subprocess.Popen[bytes], pipe: IO[bytes] | None, kept: bytearray
) -> None:
    if pipe is None:
        return
    with pipe:
        while block := pipe.read(_BLOCK_BYTES):
            if len(kept) > MAX_ANSWER_BYTES:
                process.kill()
                return
            kept += block
