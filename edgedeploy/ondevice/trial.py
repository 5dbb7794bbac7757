"""One model in a child process: the child, and the parent's end of the conversation.

Native code can die on a malformed model and takes memory that is not given back, so
each model lives in a process of its own. Parent and child exchange JSON lines.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import ContractError
from .host import peak_rss_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .runtime import Model
    from .tensors import TensorInfo

# Below this a turn begins with an untimed run: the threads sleep and the caches hold
# another model after every change of process, which would swamp a fast model's time.
SETTLE_BELOW_MS = 50.0
REPLY_TIMEOUT_S = 600.0


class TrialError(ContractError):
    """A child process failed or died; the message says how."""


class Trial:
    """A child process that holds one model, seen from the parent.

    Args:
        path: The .tflite file.
        runtime: A name of `installed.RUNTIMES`, or "auto".
        operators: Shared libraries of the operators that the model needs.
    """

    def __init__(
        self, path: Path, runtime: str, operators: Sequence[Path] = ()
    ) -> None:
        self._name = path.name
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the child)
        self._pending = b""
        package = str(__package__)
        # The child must find this package wherever the parent was started.
        root = Path(__file__).resolve().parents[package.count(".") + 1]
        places = [str(root), os.environ.get("PYTHONPATH", "")]
        self._child = subprocess.Popen(
            [
                *(sys.executable, "-m", f"{package}.trial"),
                *(str(path.resolve()), runtime),
                *(str(library.resolve()) for library in operators),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join(filter(None, places)),
                # A json.py in the user's current folder is not the child's.
                "PYTHONSAFEPATH": "1",
            },
        )

    def load(
        self, threads: int, batch: int = 1, size: tuple[int, int] | None = None
    ) -> dict[str, Any]:
        """Load the model once more, for a number of threads, and run it once.

        Args:
            threads: Threads of the interpreter.
            batch: Pictures at once.
            size: (width, height) of the pictures, or None for the model's own; the
                model has to leave them open.

        Returns:
            {"load_ms", "first_invoke_ms", "delegate", "fallback": as of
            `runtime.Model`, "difference": between the answers in a batch and one by
            one, the largest absolute, in the output's real unit}.
        """
        return self._ask(
            {"do": "load", "threads": threads, "batch": batch, "size": size}
        )

    def run(self, threads: int) -> float:
        """Run the model once, on a whole batch, and give the time in milliseconds."""
        return float(self._ask({"do": "run", "threads": threads})["ms"])

    def peak(self) -> int | None:
        """Give the child's peak resident memory in bytes so far, or None."""
        peak: int | None = self._ask({"do": "peak"})["bytes"]
        return peak

    def close(self) -> None:
        """End the child."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._child.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            TrialError: If the child answers with an error, dies, or takes forever.
        """
        stdin = self._child.stdin
        # A child that is already dead is told from its exit code below.
        with contextlib.suppress(OSError):
            if stdin:
                stdin.write(json.dumps(request).encode() + b"\n")
                stdin.flush()
        line = self._read_line()
        if line is None:
            raise TrialError(self._obituary())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise TrialError(f"{self._name}: {reply['error']}")
        return reply

    def _read_line(self) -> bytes | None:
        stdout = self._child.stdout
        deadline = time.monotonic() + REPLY_TIMEOUT_S
        while stdout and b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([stdout], [], [], left)[0]:
                self._child.kill()
                self._child.wait()
                raise TrialError(
                    f"{self._name}: no answer within {REPLY_TIMEOUT_S:.0f} s"
                )
            chunk = os.read(stdout.fileno(), 65536)
            if not chunk:
                return None
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _obituary(self) -> str:
        code = self._child.wait()
        self._log.seek(0)
        words = self._log.read().decode(errors="replace").strip().splitlines()
        last = f"; last words: {words[-1].strip()}" if words else ""
        if code < 0:
            name = signal.Signals(-code).name
            return f"{self._name}: the runtime died of {name}{last}"
        return f"{self._name}: the process ended with exit code {code}{last}"


def make_input(info: TensorInfo, seed: int = 0) -> NDArray[Any]:
    """Make a tensor from a random 8-bit picture that is the same everywhere.

    Args:
        info: The model's input.
        seed: Of NumPy's PCG64.

    Returns:
        Of the input's shape and dtype; floats lie in [-1, 1].

    Raises:
        ContractError: If the dtype is no picture's.
    """
    picture = np.random.default_rng(seed).integers(0, 256, info.shape, np.uint8)
    if info.dtype == "uint8":
        return picture
    if info.dtype in ("int8", "int16"):
        return (picture.astype(np.int16) - 128).astype(info.dtype)
    if info.dtype in ("float32", "float16"):
        return (picture.astype(np.float32) / np.float32(127.5) - 1).astype(info.dtype)
    raise ContractError(f"input {info.name} is {info.dtype}; no picture is")


def _of_size(info: TensorInfo, size: Sequence[int] | None) -> TensorInfo:
    if size is None:
        return info
    width, height = size
    return replace(info, shape=(info.shape[0], height, width, *info.shape[3:]))


class _Runner:
    """The child's state: one interpreter for each number of threads."""

    def __init__(self, path: Path, runtime: str, operators: Sequence[Path]) -> None:
        self._path, self._runtime, self._operators = path, runtime, operators
        self._models: dict[int, tuple[Model, NDArray[Any]]] = {}
        self._last_ms: dict[int, float] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what the parent asks for."""
        if request["do"] == "load":
            return self._load(request["threads"], request["batch"], request["size"])
        if request["do"] == "run":
            return {"ms": self._run(request["threads"])}
        return {"bytes": peak_rss_bytes()}

    def _load(
        self, threads: int, batch: int, size: Sequence[int] | None
    ) -> dict[str, Any]:
        from .installed import load_runtime, resolve_runtime
        from .runtime import Model

        runtime = resolve_runtime(self._runtime)
        # Importing the runtime is the program's start, not the model's.
        load_runtime(runtime)
        start = time.perf_counter()
        model = Model(
            self._path, threads=threads, runtime=runtime, operators=self._operators
        )
        load_ms = (time.perf_counter() - start) * 1e3
        info = _of_size(model.input, size)
        values = make_input(info)
        singly = []
        if batch > 1:
            single = [make_input(info, seed)[:1] for seed in range(batch)]
            singly = [model.real(model.invoke(one)) for one in single]
            values = np.concatenate(single)
        self._models[threads] = (model, values)
        first_invoke_ms = self._time(threads)
        difference = 0.0
        if singly:
            together = model.real(model.invoke(values))
            difference = float(np.abs(together - np.concatenate(singly)).max())
        return {
            "load_ms": load_ms,
            "first_invoke_ms": first_invoke_ms,
            "delegate": model.delegate,
            "fallback": model.fallback,
            "difference": difference,
        }

    def _run(self, threads: int) -> float:
        if self._last_ms[threads] < SETTLE_BELOW_MS:
            self._time(threads)
        return self._time(threads)

    def _time(self, threads: int) -> float:
        model, values = self._models[threads]
        start = time.perf_counter()
        model.invoke(values)
        self._last_ms[threads] = (time.perf_counter() - start) * 1e3
        return self._last_ms[threads]


def serve(arguments: Sequence[str]) -> None:
    """Be the child: answer requests until the parent closes the pipe or dies."""
    # Libraries print to stdout; only our answers may reach the parent there.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    path, runtime, *operators = arguments
    runner = _Runner(Path(path), runtime, [Path(library) for library in operators])
    for line in sys.stdin:
        try:
            reply = runner.answer(json.loads(line))
        except ContractError as error:
            reply = {"error": str(error)}
        try:
            answers.write(json.dumps(reply) + "\n")
            answers.flush()
        except BrokenPipeError:
            return


if __name__ == "__main__":
    serve(sys.argv[1:])
