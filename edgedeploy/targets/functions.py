"""Several models as one download: a folder and an archive, and what it saves."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy.errors import PackageError
from edgedeploy.formats.tar import TarEntry, write_tar_gz
from edgedeploy.formats.tflite_merge import merge_models
from edgedeploy.isolate import Progress, run_isolated, silent
from edgedeploy.ondevice.functions import DOCUMENT, SCHEMA, FunctionFile, Functions
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.trial import make_input
from edgedeploy.specs import ModelSpec
from edgedeploy.targets.content import write_json
from edgedeploy.targets.notices import licence_files
from edgedeploy.targets.raspberry_pi.bundle import ondevice_sources
from edgedeploy.workspace import atomic_file, make_folder, write_bytes

MODEL = "functions.tflite"
# Random tensors that each function has to answer as its own file does.
ASKED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSource:
    """A model that becomes a function.

    Attributes:
        spec: The model; its name becomes the function's.
        recipe: How its numbers are written.
        path: Its own .tflite file.
    """

    spec: ModelSpec
    recipe: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSizes:
    """What a function takes by itself, or all of them together.

    Attributes:
        name: The function's, or the file's.
        size_bytes: Of the .tflite file.
        deflated_bytes: After deflate at level 9, as stores move it.
    """

    name: str
    size_bytes: int
    deflated_bytes: int


def write_functions(
    folder: Path, sources: tuple[FunctionSource, ...], *, progress: Progress = silent
) -> tuple[Path, tuple[FunctionSizes, ...]]:
    """Write the functions' folder and archive; the same models give the same bytes.

    Args:
        folder: For the files; the archive lies beside it, with .tar.gz added.
        sources: At least two models of different names.
        progress: Called with the functions verified and their number.

    Returns:
        The archive, and the sizes: each model's own file, then the shared one.

    Raises:
        PackageError: If the models cannot be one download, or a function answers
            otherwise than its own file.
        FormatError: If a model is malformed or cannot be merged.
    """
    _check_sources(sources)
    data = {source.spec.name: source.path.read_bytes() for source in sources}
    merged = merge_models(data)
    make_folder(folder)
    with atomic_file(folder / MODEL) as temporary:
        temporary.write_bytes(merged)
        _verify(temporary, sources, progress)
    files = _files(merged, sources)
    for name, content in files.items():
        if isinstance(content, bytes):
            make_folder((folder / name).parent)
            write_bytes(folder / name, content)
    # Read as a device would, before anybody is told that it is done.
    Functions(folder)
    archive = folder.with_name(f"{folder.name}.tar.gz")
    entries = {MODEL: folder / MODEL, **files}
    write_tar_gz(
        archive,
        [
            TarEntry(name=f"{folder.name}/{name}", source=source, executable=False)
            for name, source in entries.items()
        ],
    )
    sizes = [_size(name, content) for name, content in data.items()]
    return archive, (*sizes, _size(MODEL, merged))


def compare_functions(
    merged: str, models: Mapping[str, str], progress: Progress
) -> list[str]:
    """Ask every function and its own file; called in a child process.

    Args:
        merged: Path of the merged file.
        models: Paths of the separate files, by signature.
        progress: Called with the functions compared and their number.

    Returns:
        Names of the functions that answer otherwise, in any bit.
    """
    functions = FunctionFile(Path(merged))
    differing = []
    for done, (name, path) in enumerate(models.items(), start=1):
        own = Model(Path(path))
        for seed in range(ASKED):
            values = make_input(own.input, seed)
            found = functions.invoke(name, values)
            if found.tobytes() != own.invoke(values).tobytes():
                differing.append(name)
                break
        progress(done, len(models))
    return differing


def _check_sources(sources: tuple[FunctionSource, ...]) -> None:
    names = [source.spec.name for source in sources]
    if len(names) < 2 or len(set(names)) != len(names):
        raise PackageError(
            "one download of several functions needs two or more models of different "
            f"names; received {', '.join(names) or 'none'}"
        )
    for source in sources:
        if source.spec.custom_ops or source.spec.neighbours or source.spec.shapes:
            raise PackageError(
                f"{source.spec.name}: operators of its own, neighbours or flexible "
                "shapes cannot be shared in one file; package it by itself"
            )


def _verify(
    merged: Path, sources: tuple[FunctionSource, ...], progress: Progress
) -> None:
    models = {source.spec.name: str(source.path) for source in sources}
    differing: list[str] = run_isolated(
        "edgedeploy.targets.functions:compare_functions",
        {"merged": str(merged), "models": models},
        what="comparing the functions with their own files",
        progress=progress,
    )
    if differing:
        raise PackageError(
            f"{', '.join(differing)}: answers otherwise in one file than by itself; "
            "nothing was written"
        )


def _files(
    merged: bytes, sources: tuple[FunctionSource, ...]
) -> dict[str, Path | bytes]:
    """Gather what lies beside the model; equal label lists are one file."""
    files: dict[str, Path | bytes] = {}
    functions: dict[str, Any] = {}
    for source in sources:
        spec = source.spec
        labels = ("\n".join(spec.labels) + "\n").encode()
        name = f"labels/{hashlib.sha256(labels).hexdigest()[:16]}.txt"
        files[name] = labels
        functions[spec.name] = {
            "title": spec.title,
            "weights": spec.weights,
            "recipe": source.recipe,
            "pipeline": spec.pipeline.to_dict(),
            "labels": name,
            "classes": len(spec.labels),
        }
        for text, content in licence_files(spec, ()).items():
            files[f"LICENSES/{spec.name}/{text.removeprefix('LICENSES/')}"] = content
    document = {
        "schema": SCHEMA,
        "file": MODEL,
        "sha256": hashlib.sha256(merged).hexdigest(),
        "functions": functions,
    }
    return {**files, DOCUMENT: write_json(document), **ondevice_sources()}


def _size(name: str, data: bytes) -> FunctionSizes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = len(compressor.compress(data)) + len(compressor.flush())
    return FunctionSizes(name=name, size_bytes=len(data), deflated_bytes=deflated)
