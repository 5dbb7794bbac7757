"""Flags' values to a build's options."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from edgedeploy.adopt.kinds import is_model_path
from edgedeploy.adopt.settle import Wish, settle_model
from edgedeploy.architectures import TFLITE
from edgedeploy.catalog import model_specs
from edgedeploy.choose import Gate
from edgedeploy.cli.console import Speaker, ask
from edgedeploy.errors import InputError
from edgedeploy.ondevice.shapes import parse_shapes
from edgedeploy.recipes import AS_IS, REFERENCE, chosen_recipes, recipe_named
from edgedeploy.specs import Recipe
from edgedeploy.stages.context import KINDS, Context, Options
from edgedeploy.targets.android.kinds import KINDS as ANDROID_KINDS
from edgedeploy.workspace import Workspace


def build_context(values: SimpleNamespace) -> tuple[Context, Speaker]:
    """Read flags into the context of a build in the current folder.

    Raises:
        InputError: If a value makes no sense.
    """
    speaker = Speaker(machine=values.json)
    given = vars(values)
    model = settle_flags(values, speaker)
    defaults = Options()
    kinds, android_kinds = _kinds(given.get("kind", ""))
    options = Options(
        model=model,
        weights=values.weights,
        images=_path(values.images),
        calibration=_path(values.calibration),
        finetune=_path(given.get("finetune", "")),
        recipes=_recipes(values.recipes, model),
        gate=Gate(
            max_top1_drop=given.get("max_top1_drop", Gate().max_top1_drop),
            point_estimate=given.get("point_estimate", False),
        ),
        prefer=given.get("prefer", defaults.prefer),
        max_size=given.get("max_size", defaults.max_size),
        runtime=values.runtime,
        engine=given.get("engine", defaults.engine),
        threads=values.threads,
        max_skipped=values.max_skipped,
        offline=values.offline,
        strict=values.strict,
        trust=given.get("trust", False),
        update_lock=values.update_lock,
        only=given.get("only", False),
        keystore=_path(given.get("keystore", "")),
        rotated_from=_path(given.get("rotated_from", "")),
        package=given.get("package", defaults.package),
        version_code=given.get("version_code", defaults.version_code),
        version_name=given.get("version_name", defaults.version_name),
        pythons=_words(given.get("python", "")),
        archs=_words(given.get("arch", "")) or defaults.archs,
        kinds=kinds or defaults.kinds,
        android_kinds=android_kinds or defaults.android_kinds,
        delivery=given.get("delivery", "") or defaults.delivery,
        min_app_version=given.get("min_app_version", defaults.min_app_version),
        shapes=parse_shapes(given["shapes"]) if given.get("shapes") else None,
        device_pipelines=_words(given.get("device_pipeline", "")),
        calibration_stability=given.get("calibration_stability", False),
        show=_words(given.get("show", "")),
    )
    # Read before anything is written: a misspelt model leaves no folder behind.
    name = model_specs(model)[0].name
    workspace = Workspace(root=Path.cwd(), model=name)
    return Context(options=options, workspace=workspace, voice=speaker), speaker


def _kinds(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tell the kinds of Pi bundle from those of Android package.

    Raises:
        InputError: If there is no such kind.
    """
    words = _words(text)
    unknown = [word for word in words if word not in (*KINDS, *ANDROID_KINDS)]
    if unknown:
        raise InputError(
            f"kind must be {', '.join(KINDS)} for a Raspberry Pi, or "
            f"{', '.join(ANDROID_KINDS)} for Android; received {unknown[0]!r}"
        )
    return (
        tuple(word for word in words if word in KINDS),
        tuple(word for word in words if word in ANDROID_KINDS),
    )


def settle_flags(values: SimpleNamespace, speaker: Speaker) -> str:
    """Give the model that the flags name; a model file's TOML is written if need be.

    Raises:
        InputError: If the file is none that can be taken in.
    """
    given = vars(values)
    labels = given.get("labels", "")
    if not is_model_path(values.model):
        if labels:
            raise InputError(
                f"--labels goes with a model file, such as --model net.tflite; the "
                f"labels of {values.model} are named in its .toml"
            )
        return str(values.model)
    wish = Wish(
        path=Path(values.model),
        labels=_path(labels),
        images=_path(given.get("images", "")),
        trust=given.get("trust", False),
    )

    def warn(line: str) -> None:
        speaker.warn(line, lasting=False)

    return str(settle_model(wish, ask=ask, note=speaker.note, warn=warn))


def _recipes(names: str, model: str) -> tuple[Recipe, ...]:
    """Read --recipes; a file that was quantised already is taken as it is."""
    spec = model_specs(model)[0]
    if (spec.architecture, spec.layout) != (TFLITE, "quantised"):
        recipes = chosen_recipes(names)
        if any(recipe.engine == "given" for recipe in recipes):
            raise InputError(
                f"{AS_IS} is for .tflite files that were quantised elsewhere; "
                f"{spec.name} is none"
            )
        return recipes
    if names not in ("", AS_IS, REFERENCE):
        raise InputError(
            f"{spec.name} was quantised already, so {names} cannot be made of it; "
            "leave --recipes out to take it as it is, or give the float32 network"
        )
    return (recipe_named(AS_IS),)


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _words(text: str) -> tuple[str, ...]:
    """Split a comma-separated list; what is named twice counts once."""
    parts = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))
