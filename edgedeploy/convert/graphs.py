"""Whole graphs in other formats to the .tflite file that variants are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedeploy.architectures import ONNX, TFLITE, TORCH
from edgedeploy.environments.install import Installed, find
from edgedeploy.environments.run import run_in
from edgedeploy.environments.table import ENVIRONMENTS, Environment
from edgedeploy.errors import ConversionError, InputError
from edgedeploy.formats.tflite import TfliteSummary, summarize
from edgedeploy.workspace import atomic_file, cache_folder, code_digest, make_folder

_BY_ARCHITECTURE = {ONNX: "onnx", TORCH: "torch"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A network as a .tflite file.

    Attributes:
        path: Where it is.
        converter: What made it, for a stage's inputs; "" where it was given.
    """

    path: Path
    converter: str


def find_graph(architecture: str, source: Path, sha256: str) -> Graph | None:
    """Find the .tflite file of a network, where nothing has to be converted.

    Args:
        architecture: A key of `architectures.GRAPHS`.
        source: The user's file.
        sha256: Its digest (hexadecimal).

    Raises:
        InputError: If the converter is not installed; how to install it is said.
    """
    if architecture == TFLITE:
        return Graph(path=source, converter="")
    _, _, graph = _planned(architecture, source, sha256)
    return graph if graph.path.is_file() else None


def graph_of(architecture: str, source: Path, sha256: str) -> Graph:
    """Find or make the .tflite file of a network that is a whole graph.

    Args:
        architecture: A key of `architectures.GRAPHS`.
        source: The user's file.
        sha256: Its digest (hexadecimal); the conversion is kept by it.

    Raises:
        InputError: If the converter is not installed; how to install it is said.
        ConversionError: If the converter gives up, or what it made is no classifier.
    """
    found = find_graph(architecture, source, sha256)
    if found:
        return found
    environment, installed, graph = _planned(architecture, source, sha256)
    make_folder(graph.path.parent)
    with atomic_file(graph.path) as temporary:
        run_in(environment, installed, source, temporary)
        _check(source, summarize(temporary))
    return graph


def _planned(
    architecture: str, source: Path, sha256: str
) -> tuple[Environment, Installed, Graph]:
    """Who converts a file, and where the result is kept."""
    environment = ENVIRONMENTS[_BY_ARCHITECTURE[architecture]]
    installed = find(environment)
    if installed is None:
        raise InputError(_not_installed(source, environment))
    identity = f"{environment.name}-{installed.lock[:12]}-{_program_digest()[:12]}"
    path = cache_folder() / "graphs" / f"{sha256}-{identity}.tflite"
    return environment, installed, Graph(path=path, converter=identity)


def _program_digest() -> str:
    return code_digest("environments/programs")


def _not_installed(source: Path, environment: Environment) -> str:
    return (
        f"{source}: {environment.reads} are converted by {environment.converter} in an "
        f"environment of its own ({environment.sizes}); make it once with inv doctor "
        f"--install {environment.name}, then run the same command again"
    )


def _check(source: Path, summary: TfliteSummary) -> None:
    """Insist that the converter left what devices can run."""
    foreign = (*summary.custom_ops, *summary.flex_ops)
    if foreign:
        raise ConversionError(
            f"{source}: the network needs {', '.join(foreign)}, which plain LiteRT "
            "does not have; replace the layers that use it"
        )
