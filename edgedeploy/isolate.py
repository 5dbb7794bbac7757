"""Run a function in a child process, so that a crash costs one clear error.

Native code can die on a malformed model, and TensorFlow keeps gigabytes; a child
takes both with it. The child runs `module:function(progress=…, **arguments)` with
JSON arguments and a JSON result, and ends by itself when its parent disappears.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, Protocol

from edgedeploy import errors
from edgedeploy.errors import EdgedeployError, IsolatedError, WorkspaceError
from edgedeploy.ondevice.contract import ContractError


class Progress(Protocol):
    """Shows how far something is."""

    def __call__(self, done: int, total: int | None, so_far: str = "", /) -> None:
        """Take how many steps of how many are done, and what was found so far."""


# Fixed so that the same input gives the same bytes, on machines with a GPU too.
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    # NumPy's sums differ in the last bit with the number of its threads.
    "OPENBLAS_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "KERAS_BACKEND": "tensorflow",
}
_TAIL_BYTES = 2000
# What writing says on a full disk, and on one whose user has no share left.
_FULL = (errno.ENOSPC, errno.EDQUOT)
# Not `-m`: that would let a json.py in the user's folder take a module's place. The
# package's own folder comes last, for a checkout that is not installed.
_BOOT = (
    "import sys; folder = sys.argv.pop(1); "
    "sys.path[:] = [entry for entry in sys.path if entry] + [folder]; "
    "from edgedeploy.isolate import serve; serve(sys.argv[1])"
)
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent


def silent(done: int, total: int | None, so_far: str = "", /) -> None:
    """Take progress and show nothing."""


def run_isolated(
    function: str,
    arguments: dict[str, Any],
    *,
    what: str,
    progress: Progress = silent,
) -> Any:
    """Call a function in a child process.

    Args:
        function: "package.module:name"; called with the arguments and `progress`.
        arguments: JSON values.
        what: Subject of an error message, such as "converting int8".
        progress: Called with what the child reports.

    Returns:
        The function's result, through JSON.

    Raises:
        EdgedeployError: What the function raised, of the same class.
        IsolatedError: If the child died; the message names the signal.
    """
    environment = os.environ | _ENVIRONMENT
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [sys.executable, "-c", _BOOT, str(_PACKAGE_PARENT), function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            text=True,
        )
        try:
            reply = _converse(child, arguments, progress)
        finally:
            _end(child)
        if reply is None:
            raise _death(child.returncode, what, log)
    if "error" in reply:
        raise _remote_error(reply, what)
    return reply["result"]


def _converse(
    child: subprocess.Popen[str], arguments: dict[str, Any], progress: Progress
) -> dict[str, Any] | None:
    """Send the arguments, pass progress on, and wait for the last line."""
    if child.stdin is None or child.stdout is None:  # Both were asked for above.
        return None
    # A child that is already dead is told from its exit code.
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(json.dumps(arguments) + "\n")
        child.stdin.flush()
    for line in child.stdout:
        if not line.endswith("\n"):
            return None  # It died in mid sentence.
        message: dict[str, Any] = json.loads(line)
        if "progress" not in message:
            return message
        progress(*message["progress"])
    return None


def _end(child: subprocess.Popen[str]) -> None:
    """Close the pipes; a child that does not end by itself is killed."""
    for pipe in (child.stdin, child.stdout):
        if pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _death(code: int, what: str, log: IO[bytes]) -> IsolatedError:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _TAIL_BYTES))
    lines = log.read().decode(errors="replace").strip().splitlines()
    last = f"; last words: {lines[-1].strip()}" if lines else ""
    if code < 0:
        name = _signal_name(-code)
        cause = "out of memory?" if name == "SIGKILL" else "the native code crashed"
        return IsolatedError(f"{what}: the child died of {name} ({cause}){last}")
    return IsolatedError(f"{what}: the child ended with exit code {code}{last}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # Real-time signals have no names.
        return f"signal {number}"


def _remote_error(reply: dict[str, Any], what: str) -> Exception:
    """Rebuild the child's error as the same class."""
    message, name = reply["message"], reply["error"]
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, EdgedeployError):
        return kind(message)
    if name == "ContractError":
        return ContractError(message)
    if reply.get("errno") in _FULL:
        return WorkspaceError(
            f"{what}: {os.strerror(reply['errno'])}; free some space, then run the "
            "same command again"
        )
    return IsolatedError(f"{what}: {name}: {message}")


def serve(function: str) -> None:
    """Be the child: read arguments, call, answer, and end the process.

    Args:
        function: "package.module:name".
    """
    # Libraries print to stdout; only our answers may reach the parent there.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    arguments = json.loads(sys.stdin.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    lock = threading.Lock()

    def answer(message: dict[str, Any]) -> None:
        with lock:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

    def progress(done: int, total: int | None, so_far: str = "", /) -> None:
        answer({"progress": [done, total, so_far]})

    module, _, name = function.partition(":")
    try:
        call = getattr(importlib.import_module(module), name)
        answer({"result": call(progress=progress, **arguments)})
    except EdgedeployError as error:
        answer({"error": type(error).__name__, "message": str(error)})
    except ContractError as error:
        answer({"error": "ContractError", "message": str(error)})
    # A library's sys.exit() must not look like our own end.
    except (Exception, SystemExit) as error:
        import traceback

        traceback.print_exc()
        first = (str(error).strip() or "no message").splitlines()[0]
        number = error.errno if isinstance(error, OSError) else None
        answer({"error": type(error).__name__, "message": first, "errno": number})
    # TensorFlow's threads can hold up a normal exit; everything is written.
    os._exit(0)


def _die_with_parent() -> None:
    """End when stdin closes: the parent is done, or was killed."""
    sys.stdin.read()
    os._exit(1)
