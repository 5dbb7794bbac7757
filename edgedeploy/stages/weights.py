"""Which weights a model is built from, and where they are."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgedeploy.architectures import TRUSTED, layouts, names
from edgedeploy.catalog import model_specs
from edgedeploy.errors import EdgedeployError, InputError, LockError
from edgedeploy.fetch import Fetched, Unreachable, fetch
from edgedeploy.specs import FileSource, HttpsSource, ModelSpec
from edgedeploy.stages.context import Context
from edgedeploy.workspace import cache_folder, json_digest

AUTO = "auto"
# How the name of a user's own weights file tells its layout.
_SUFFIXES = {
    ".h5": "keras_h5",
    ".hdf5": "keras_h5",
    ".keras": "keras",
    ".pth": "pth",
    ".pt": "pth",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Fetched weights.

    Attributes:
        spec: The model with these weights.
        fetched: Where they are and their digest.
    """

    spec: ModelSpec
    fetched: Fetched

    def identity(self) -> dict[str, Any]:
        """What decides the network: JSON values for a stage's inputs."""
        return {
            "architecture": self.spec.architecture,
            "layout": self.spec.layout,
            "outputs": self.spec.outputs,
            "sha256": self.fetched.sha256,
        }


def fetch_weights(context: Context) -> Weights:
    """Fetch the weights that the user asked for, or that the lock pins.

    Raises:
        InputError: If the model has no weights of that name.
        LockError: If the locked weights cannot be had.
        FetchError: If none can be reached.
    """
    specs = model_specs(context.options.model)
    if context.options.shapes is not None:
        specs = tuple(replace(spec, shapes=context.options.shapes) for spec in specs)
    for spec in specs:
        _check_network(context, spec)
    specs = tuple(_trusted(context, spec) for spec in specs)
    asked = context.options.weights
    locked = _pin(context)
    if asked in ("", AUTO):
        weights = _locked(context, specs, locked) if locked else _auto(context, specs)
    else:
        weights = _pinned(context, specs, asked, locked)
    pinned = {
        "name": weights.spec.weights,
        "sha256": weights.fetched.sha256,
        "size_bytes": weights.fetched.size_bytes,
        "labels_sha256": json_digest(weights.spec.labels),
        "pipeline_sha256": weights.spec.pipeline.digest(),
    }
    context.settle("weights", pinned, asked=asked not in ("", AUTO))
    return weights


def _check_network(context: Context, spec: ModelSpec) -> None:
    """Refuse what nothing can read, before a hundred megabytes come for it."""
    where = f"{context.options.model}: weights {spec.weights}"
    if spec.architecture not in names():
        raise InputError(
            f"{where}: architecture must be one of {', '.join(names())}; "
            f"received {spec.architecture!r}"
        )
    known = layouts(spec.architecture)
    if spec.layout not in known:
        plain = [layout for layout in known if not layout.endswith(TRUSTED)]
        raise InputError(
            f"{where}: {spec.architecture} reads the layouts {', '.join(plain)}; "
            f"received {spec.layout!r}"
        )


def _trusted(context: Context, spec: ModelSpec) -> ModelSpec:
    """Let a network's own code run, where the user vouches for it."""
    if not context.options.trust:
        return spec
    layout = spec.layout + TRUSTED
    if layout not in layouts(spec.architecture):
        raise InputError(
            f"{context.options.model}: --trust is for .keras, .h5 and SavedModels that "
            f"run code of their own; {spec.architecture} has none, so leave it out"
        )
    return replace(spec, layout=layout)


def _pin(context: Context) -> dict[str, Any] | None:
    """Read what the lock pins; nothing, where the user lets it change.

    Raises:
        InputError: If the lock does not say which weights, or not by their digest.
    """
    locked = context.lock.get("weights")
    if locked is None or context.options.update_lock:
        return None
    whole = isinstance(locked, dict) and all(
        isinstance(locked.get(key), str) for key in ("name", "sha256")
    )
    if not whole:
        raise InputError(
            f"{context.lock.path}: weights of {context.workspace.model} need a name "
            "and a sha256; restore it from your version control, or resolve anew with "
            "--update-lock"
        )
    return dict(locked)


def _auto(context: Context, specs: tuple[ModelSpec, ...]) -> Weights:
    """Take the first that can be reached, and say so when that is not the first."""
    strict = context.options.strict or (
        not context.options.weights and os.environ.get("CI") == "true"
    )
    candidates = specs[:1] if strict else specs
    for spec, fallback in zip(candidates, (*candidates[1:], None), strict=True):
        try:
            return _fetch(context, spec)
        except Unreachable as error:
            if fallback is None:
                raise _no_source(spec, error, strict and len(specs) > 1) from error
            context.voice.warn(
                f"{spec.title} {spec.weights} weights cannot be reached from here; "
                f"building {fallback.weights} instead ({fallback.summary}). Give "
                f"--weights {spec.weights} to insist; edgedeploy.lock keeps the choice",
                lasting=False,
            )
    raise InputError(f"model {context.options.model} has no weights in its file")


def _locked(
    context: Context, specs: tuple[ModelSpec, ...], locked: dict[str, Any]
) -> Weights:
    """Take the very bytes that the lock pins, or fail."""
    by_name = {spec.weights: spec for spec in specs}
    spec = by_name.get(locked["name"])
    if spec is None:
        raise LockError(
            f"edgedeploy.lock pins weights {locked['name']} for {context.options.model}"
            "; give --weights the same file again, or accept others with --update-lock"
        )
    source = spec.source
    # A digest in the model's file stays: if it differs, the lock has to say so.
    if isinstance(source, HttpsSource) and source.sha256 is None:
        spec = replace(spec, source=replace(source, sha256=locked["sha256"]))
    try:
        return _fetch(context, spec)
    except Unreachable as error:
        raise LockError(
            f"edgedeploy.lock pins {spec.title} {spec.weights}, which cannot be had "
            f"({error})"
        ) from error


def _pinned(
    context: Context,
    specs: tuple[ModelSpec, ...],
    asked: str,
    locked: dict[str, Any] | None,
) -> Weights:
    by_name = {spec.weights: spec for spec in specs}
    if asked not in by_name:
        return _fetch(context, _own_file(specs, asked))
    if locked and locked["name"] == asked:
        return _locked(context, specs, locked)
    try:
        return _fetch(context, by_name[asked])
    except Unreachable as error:
        raise _no_source(by_name[asked], error, other=False) from error


def _own_file(specs: tuple[ModelSpec, ...], asked: str) -> ModelSpec:
    """Build on the user's own weights file, with the contract of its layout."""
    path = Path(asked)
    names = ", ".join([AUTO, *(spec.weights for spec in specs)])
    if not path.exists():
        raise InputError(
            f"--weights takes {names} or an existing file; received {asked!r}"
        )
    layout = "tfjs" if path.is_dir() else _SUFFIXES.get(path.suffix.lower())
    for spec in specs:
        if spec.layout == layout:
            return replace(
                spec, weights=path.stem, source=FileSource(path=str(path.resolve()))
            )
    layouts = ", ".join(spec.layout for spec in specs)
    raise InputError(
        f"{path}: {specs[0].title} reads the layouts {layouts}; this looks like "
        f"{layout or 'no weights file'}"
    )


def _fetch(context: Context, spec: ModelSpec) -> Weights:
    with context.voice.step(f"fetch {spec.title} {spec.weights}") as progress:
        fetched = fetch(
            spec.source,
            cache=cache_folder(),
            offline=context.options.offline,
            progress=progress,
        )
    return Weights(spec=spec, fetched=fetched)


def _no_source(spec: ModelSpec, error: Unreachable, other: bool) -> EdgedeployError:
    ways = ["a local file with --weights PATH"]
    if isinstance(spec.source, HttpsSource):
        ways.insert(0, f"a mirror in {spec.source.mirror_variable}")
    if other:
        ways.append("other weights with --weights NAME (see inv models)")
    else:
        ways.append("another model with --model (see inv models)")
    # A failed download lists ways on too, but not knowing what this model has.
    cause = str(error).partition(". Ways on: ")[0]
    return Unreachable(f"{cause}. Ways on: {'; '.join(ways)}")
