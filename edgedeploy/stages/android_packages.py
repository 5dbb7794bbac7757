"""The stages that package for Android, one a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgedeploy.isolate import Progress
from edgedeploy.stages.android_warnings import warn_of_android
from edgedeploy.stages.context import Options
from edgedeploy.stages.packaging import PAYLOAD_CODE, Packager, application_id
from edgedeploy.targets.android.app import app_sources
from edgedeploy.targets.android.assets import kotlin_sources
from edgedeploy.targets.android.budget import (
    KindSize,
    check_limit,
    describe_sizes,
    has_brotli,
    measure_entries,
    size_kind,
)
from edgedeploy.targets.android.kinds import KINDS, Kind
from edgedeploy.targets.android.kotlin_classes import compiler_version
from edgedeploy.targets.android.request import PackageNames, PackageRequest
from edgedeploy.targets.android.runtime_limits import describe_newer
from edgedeploy.targets.android.templates import template_files
from edgedeploy.workspace import code_digest, file_digest, read_json, write_json

FOLDER = "android"


def android_stage(kind: str) -> str:
    """Name of the stage that makes a kind of package."""
    return f"package-android-{kind}"


def package_android(packager: Packager) -> dict[str, Path]:
    """Write the kinds of package that were asked for, below android/.

    Args:
        packager: The build's models, options and key.

    Returns:
        What to name, by the stage that made it.

    Raises:
        SigningError: If nothing can be signed with the key.
        PackageError: If a package cannot be written, or Play would refuse it.
    """
    options = packager.context.options
    warn_of_android(packager.context)
    _warn_of_runtime(packager)
    sizes = measure_android(packager)["kinds"]
    for name in options.android_kinds:
        check_limit(name, KindSize(**sizes[name]))
    return {
        android_stage(name): _write(packager, KINDS[name])
        for name in options.android_kinds
    }


def _warn_of_runtime(packager: Packager) -> None:
    """Name models that need a later LiteRT than apps usually have."""
    # The kinds that ask for a LiteRT themselves refuse such models.
    if not {"app", "aar"}.issuperset(packager.context.options.android_kinds):
        models = {f"{one.recipe}.tflite": one.path for one in packager.shipped()}
        for line in describe_newer(models):
            packager.context.voice.warn(line)


def measure_android(packager: Packager) -> dict[str, Any]:
    """Measure what each kind of package takes to download and on the device.

    Args:
        packager: The build's models and options.

    Returns:
        The value of android/sizes.json.
    """
    context = packager.context
    path = context.workspace.folder / FOLDER / "sizes.json"
    delivery = context.options.delivery

    def action(progress: Progress) -> None:
        sizes = measure_entries(packager.payload.files, progress=progress)
        kinds = {name: size_kind(name, sizes, delivery=delivery) for name in KINDS}
        write_json(path, describe_sizes(sizes, kinds))

    context.stage(
        "android-sizes",
        "measure the Android downloads",
        inputs={
            **packager.inputs(),
            "delivery": delivery,
            "brotli": has_brotli(),
            "code": code_digest(*PAYLOAD_CODE, "targets/android"),
        },
        outputs=[path],
        action=action,
    )
    found: dict[str, Any] = read_json(path)
    return found


def verified_packages(made: Mapping[str, Path]) -> dict[str, Path]:
    """Leave out the assets where a package beside them holds the same files.

    Args:
        made: What `package_android` gave.
    """
    assets = android_stage("assets")
    others = {stage: path for stage, path in made.items() if stage != assets}
    return others or dict(made)


def package_names(options: Options, model: str, title: str) -> PackageNames:
    """Gather under which names a model is packaged.

    Args:
        options: What the user asked for.
        model: The model's name.
        title: Its name for people.
    """
    return PackageNames(
        name=model,
        title=title,
        package=application_id(options, model),
        version_code=options.version_code,
        version_name=options.version_name,
        delivery=options.delivery,
        min_app_version=options.min_app_version,
    )


def _write(packager: Packager, kind: Kind) -> Path:
    context = packager.context
    options = context.options
    folder = context.workspace.folder / FOLDER
    title = packager.weights.spec.title
    names = package_names(options, context.workspace.model, title)

    decides: dict[str, Callable[[], object]] = {
        "identity": lambda: [
            names.package,
            names.version_code,
            names.version_name,
            names.min_app_version,
        ],
        "certificate": lambda: [
            one.certificate_sha256
            for one in (packager.key, packager.key.previous)
            if one
        ],
        "delivery": lambda: names.delivery,
        "kotlin": lambda: [
            compiler_version() if kind.name == "aar" else None,
            {path.name: file_digest(path) for path in kotlin_sources()},
        ],
        "app": lambda: {
            name: file_digest(path) for name, path in app_sources().items()
        },
    }

    def action(_progress: Progress) -> None:
        request = PackageRequest(
            **asdict(names), payloads=(packager.payload,), key=packager.key
        )
        packager.outdate_manifest()
        kind.write(folder, request)

    context.stage(
        android_stage(kind.name),
        f"package for Android, {kind.name}",
        inputs={
            **packager.inputs(),
            **{name: decides[name]() for name in kind.uses},
            "templates": [file_digest(path) for path in template_files()],
            "code": code_digest(
                *PAYLOAD_CODE,
                "targets/android",
                "formats",
                "stages/packaging.py",
                "stages/android_packages.py",
            ),
        },
        outputs=[folder / name for name in kind.outputs(names)],
        action=action,
    )
    return folder / kind.main(names)
