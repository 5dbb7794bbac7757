"""Which LiteRT runtimes are installed, and which of them to use."""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

import numpy as np

from .contract import ContractError

# Name for --runtime: (module with Interpreter, distribution that brings it).
RUNTIMES = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
    "tensorflow": ("tensorflow.lite.python.interpreter", "tensorflow"),
}


class RuntimeUnavailable(ContractError):  # noqa: N818  (named as the state it reports)
    """No runtime of that name works here; the message says why."""


def runtime_version(name: str) -> str | None:
    """Version of an installed runtime, or None where it is missing."""
    try:
        return importlib.metadata.version(RUNTIMES[name][1])
    except importlib.metadata.PackageNotFoundError:
        return None


def available_runtimes() -> tuple[str, ...]:
    """Names of the runtimes that are installed, the default first."""
    return tuple(name for name in RUNTIMES if runtime_version(name))


def resolve_runtime(name: str) -> str:
    """Find the runtime to use; "auto" is the first that is installed.

    Raises:
        RuntimeUnavailable: If the name is unknown or the runtime can't work here.
    """
    if name == "auto":
        found = available_runtimes()
        if not found:
            raise RuntimeUnavailable(
                "no LiteRT runtime is installed; pip install ai-edge-litert"
            )
        name = found[0]
    if name not in RUNTIMES:
        raise RuntimeUnavailable(
            f"runtime must be auto, {', '.join(RUNTIMES)}; received {name!r}"
        )
    distribution = RUNTIMES[name][1]
    if runtime_version(name) is None:
        raise RuntimeUnavailable(
            f"runtime {name} is not installed; pip install {distribution}"
        )
    if name == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2:
        # It was built against NumPy 1 and dies in Interpreter() beside NumPy 2.
        raise RuntimeUnavailable(
            f"tflite-runtime needs numpy<2; found numpy {np.__version__}. Install the "
            "extra edgedeploy[tflite-runtime] in an environment of its own"
        )
    return name


def runtime_identity(name: str) -> str:
    """Name a runtime with its version, such as "litert 2.3.0"; results depend on both.

    Args:
        name: As `resolve_runtime` gives it.
    """
    return f"{name} {runtime_version(name)}"


def load_runtime(name: str) -> Any:
    """Import a runtime's module, the one with Interpreter.

    Args:
        name: As `resolve_runtime` gives it.

    Raises:
        RuntimeUnavailable: If it is installed but does not load.
    """
    try:
        return importlib.import_module(RUNTIMES[name][0])
    except (ImportError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RuntimeUnavailable(
            f"runtime {name} is installed but does not load ({first}); install "
            "it again, or take another with --runtime"
        ) from error
