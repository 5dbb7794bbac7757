"""One process a core, each taking the next piece of work when it is free.

The processes are forks, so what was loaded before is there once: a model's weights,
the list of pictures. They do not share Python's lock, which threads that decode and
those that write scores would wait for.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any, NoReturn

from edgedeploy import errors
from edgedeploy.errors import EdgedeployError, EvaluationError, IsolatedError
from edgedeploy.ondevice.contract import ContractError

_ITEM = struct.Struct("<I")
_LOOK_EVERY_S = 0.1
_FAILED = 1


def spread(
    items: Sequence[int],
    work: Callable[[int], None],
    *,
    processes: int,
    watch: Callable[[], None],
) -> None:
    """Do something with every item, in several processes.

    Args:
        items: Numbers below 2^32, handed out in this order.
        work: Called with an item in one of the processes. What it leaves has to be in
            files; an item before one that failed is always worked on too.
        processes: At least 1.
        watch: Called here now and then, and at the end.

    Raises:
        EdgedeployError: What `work` raised, of the same class; of several, that of the
            item that comes first. Another error is an IsolatedError.
    """
    parent = os.getpid()
    reading, telling = os.pipe()
    # Forks share the file's position, so each read takes another item: a queue.
    with tempfile.TemporaryFile() as queue:
        queue.write(b"".join(_ITEM.pack(item) for item in items))
        queue.flush()
        os.lseek(queue.fileno(), 0, os.SEEK_SET)
        children = []
        for _ in range(processes):
            child = os.fork()
            if not child:
                os.close(reading)
                _serve(queue, telling, work, parent)
            children.append(child)
        os.close(telling)
        try:
            told = _listen(reading, queue, children, watch)
        except BaseException:
            # Ctrl-C: what is begun is finished, and no more is.
            os.ftruncate(queue.fileno(), 0)
            raise
        finally:
            os.close(reading)
    watch()
    if told:
        first = min(told, key=lambda failure: items.index(failure["item"]))
        kind: type[EdgedeployError] = getattr(errors, first["kind"], EvaluationError)
        raise kind(first["message"])


def _serve(
    queue: IO[bytes], telling: int, work: Callable[[int], None], parent: int
) -> NoReturn:
    """Be a fork: work until the queue is empty; never return into the parent's code."""
    code = _FAILED
    try:
        while os.getppid() == parent:
            read = os.read(queue.fileno(), _ITEM.size)
            if not read:
                code = 0
                break
            (item,) = _ITEM.unpack(read)
            try:
                work(item)
            except Exception as error:
                _tell(telling, item, error)
                # An empty queue ends the others.
                os.ftruncate(queue.fileno(), 0)
    finally:
        os._exit(code)


def _tell(telling: int, item: int, error: Exception) -> None:
    """Send an error to whoever started us; one of ours keeps its class."""
    kind, message = type(error).__name__, str(error)
    if isinstance(error, ContractError):
        kind = "EvaluationError"
    elif not isinstance(error, EdgedeployError):
        kind, message = "IsolatedError", f"{kind}: {message}"
    # Short enough that lines of several processes do not mix.
    line = {"item": item, "kind": kind, "message": message[:1000]}
    os.write(telling, json.dumps(line).encode() + b"\n")


def _listen(
    reading: int, queue: IO[bytes], children: list[int], watch: Callable[[], None]
) -> list[dict[str, Any]]:
    """Wait for the forks; give what they told."""
    text = b""
    alive = set(children)
    while alive:
        if select.select([reading], [], [], _LOOK_EVERY_S)[0]:
            text += os.read(reading, 1 << 16)
        for child in list(alive):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                alive.remove(child)
                _check(status, queue)
        watch()
    while rest := os.read(reading, 1 << 16):
        text += rest
    return [json.loads(line) for line in text.splitlines()]


def _check(status: int, queue: IO[bytes]) -> None:
    """Share a fork's fate, if it died: whoever started us tells why."""
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return
    os.ftruncate(queue.fileno(), 0)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    raise IsolatedError(f"a worker process ended with exit code {code}")
