"""Flags' values to a build's options."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from edgedeploy.catalog import model_specs
from edgedeploy.choose import Gate
from edgedeploy.cli.console import Speaker
from edgedeploy.errors import InputError
from edgedeploy.ondevice.shapes import parse_shapes
from edgedeploy.recipes import chosen_recipes
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
    defaults = Options()
    options = Options(
        model=values.model,
        weights=values.weights,
        images=_path(values.images),
        calibration=_path(values.calibration),
        recipes=chosen_recipes(values.recipes),
        gate=Gate(
            max_top1_drop=given.get("max_top1_drop", Gate().max_top1_drop),
            point_estimate=given.get("point_estimate", False),
        ),
        prefer=given.get("prefer", defaults.prefer),
        max_size=given.get("max_size", defaults.max_size),
        runtime=values.runtime,
        threads=values.threads,
        max_skipped=values.max_skipped,
        offline=values.offline,
        strict=values.strict,
        update_lock=values.update_lock,
        only=given.get("only", False),
        keystore=_path(given.get("keystore", "")),
        package=given.get("package", defaults.package),
        version_code=given.get("version_code", defaults.version_code),
        version_name=given.get("version_name", defaults.version_name),
        pythons=_words(given.get("python", "")),
        archs=_words(given.get("arch", "")) or defaults.archs,
        **_kinds(given.get("kind", ""), defaults),
        delivery=given.get("delivery", "") or defaults.delivery,
        shapes=parse_shapes(given["shapes"]) if given.get("shapes") else None,
    )
    # Read before anything is written: a misspelt model leaves no folder behind.
    name = model_specs(values.model)[0].name
    workspace = Workspace(root=Path.cwd(), model=name)
    return Context(options=options, workspace=workspace, voice=speaker), speaker


def _kinds(text: str, defaults: Options) -> dict[str, tuple[str, ...]]:
    """Tell the kinds of Pi bundle from those of Android package.

    A target none of whose kinds is named keeps its usual ones.

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
    return {
        "kinds": tuple(w for w in words if w in KINDS) or defaults.kinds,
        "android_kinds": tuple(w for w in words if w in ANDROID_KINDS)
        or defaults.android_kinds,
    }


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _words(text: str) -> tuple[str, ...]:
    """Split a comma-separated list; what is named twice counts once."""
    parts = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))
