"""Run a converter in its environment, as a child that ends with its parent."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from edgedeploy.environments.install import Installed
from edgedeploy.environments.table import Environment
from edgedeploy.errors import ConversionError

_TAIL_BYTES = 4000
# Their chatter about processors and plug-ins says nothing of the failure.
_NOISE = ("WARNING", "W0000", "I0000", "E0000", "I1", "W1", "[", "(")


def run_in(
    environment: Environment, installed: Installed, model: Path, out: Path
) -> None:
    """Convert a file.

    Args:
        environment: Which converter.
        installed: Where it is.
        model: The file to convert.
        out: Where the .tflite file goes.

    Raises:
        ConversionError: If it cannot be converted; the converter's own reason is in
            the message.
    """
    # Converters leave files where they run.
    folder = Path(tempfile.mkdtemp(prefix="edgedeploy-convert-"))
    try:
        with tempfile.TemporaryFile() as log:
            command = [installed.python, "-I", environment.program, model, out]
            with subprocess.Popen(
                [str(word) for word in command],
                cwd=folder,
                # Never written to: the child ends when this pipe does.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            ) as child:
                try:
                    code = _wait(child)
                finally:
                    child.kill()
            log.seek(0, 2)
            log.seek(max(0, log.tell() - _TAIL_BYTES))
            said = log.read().decode(errors="replace")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if code or not out.is_file() or not out.stat().st_size:
        raise ConversionError(
            f"{model}: {environment.converter} cannot convert it ("
            f"{_reason(said) or f'exit code {code}'})"
        )


def _wait(child: subprocess.Popen[bytes]) -> int:
    # Not communicate(): it would close the pipe that keeps the child alive.
    while True:
        try:
            return child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines()]
    telling = [line for line in lines if line and not line.startswith(_NOISE)]
    return telling[-1][:300] if telling else ""
