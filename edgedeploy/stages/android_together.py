"""Builds several models and puts them into one Android package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from edgedeploy.errors import InputError
from edgedeploy.stages.android_packages import package_names
from edgedeploy.stages.android_warnings import warn_of_android
from edgedeploy.stages.context import Context
from edgedeploy.stages.packaging import signing_key
from edgedeploy.stages.run import open_build
from edgedeploy.targets.android.budget import (
    KindSize,
    check_limit,
    measure_entries,
    size_kind,
)
from edgedeploy.targets.android.kinds import KINDS
from edgedeploy.targets.android.request import PackageRequest

_MAX_NAME = 80


def package_together(
    contexts: Sequence[Context],
) -> tuple[dict[str, Path], dict[str, KindSize]]:
    """Build each model, and write the kinds of package that hold them all.

    The models share one label set and one code path, so they must name the same
    classes in the same order.

    Args:
        contexts: One a model, of the same options otherwise.

    Returns:
        What was written below build/android/, and what it takes, by kind.

    Raises:
        InputError: If there are fewer than two models, one is named twice, they name
            other classes, or a kind takes one model alone.
        PackageError: If a package cannot be written, or Play would refuse it.
    """
    models = [context.workspace.model for context in contexts]
    if len(models) < 2 or len(set(models)) != len(models):
        raise InputError(
            "give --models two or more different ones, separated by commas; received "
            f"{', '.join(models) or 'none'}"
        )
    options = contexts[0].options
    alone = [kind for kind in options.android_kinds if not KINDS[kind].several]
    if alone:
        raise InputError(
            f"--kind {','.join(alone)} takes one model; leave it out with "
            "--models, and make it for each model with --model"
        )
    warn_of_android(contexts[0])
    name = "-".join(models)[:_MAX_NAME]
    payloads = []
    for context in contexts:
        with open_build(context) as job:
            payloads.append(job.packager.payload)
    names = package_names(options, "_".join(models), " + ".join(models))
    request = PackageRequest(
        **{**asdict(names), "name": name},
        payloads=tuple(payloads),
        key=signing_key(options),
    )
    folder = contexts[0].workspace.root / "build" / "android" / name
    with contexts[0].voice.step("package the models together") as progress:
        entries = measure_entries(request.files, progress=progress)
        sizes = {
            kind: size_kind(kind, entries, delivery=options.delivery)
            for kind in options.android_kinds
        }
        for kind, size in sizes.items():
            check_limit(kind, size)
        for kind in sizes:
            KINDS[kind].write(folder, request)
    made = {kind: folder / KINDS[kind].main(request) for kind in options.android_kinds}
    return made, sizes
