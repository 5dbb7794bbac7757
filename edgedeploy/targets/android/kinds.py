"""The kinds of Android package: one row each, and one place to add another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import InputError
from edgedeploy.targets.android.aar import aar_path, write_maven_repository
from edgedeploy.targets.android.apk import write_asset_apk
from edgedeploy.targets.android.app import write_app
from edgedeploy.targets.android.app_bundle import write_app_bundle
from edgedeploy.targets.android.assets import SNIPPET, write_asset_tree
from edgedeploy.targets.android.packs import write_ai_pack, write_asset_pack
from edgedeploy.targets.android.request import PackageNames, PackageRequest
from edgedeploy.targets.android.tree import write_sum
from edgedeploy.targets.android.update import KEY, SUFFIX, write_update

DEFAULT = ("assets", "apk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of Android package.

    Attributes:
        name: What --kind calls it.
        summary: What it is for, in a few words.
        write: Writes it into android/, given that folder.
        outputs: What it writes, below that folder; folders stand for all below them.
        main: Which of them to name and to verify, below that folder.
        uses: What decides its bytes beside the models: "identity" (application id and
            version), "certificate", "delivery", "kotlin", "app".
        play: Which limit of Play's it falls under: "base", "pack" or "" for none.
        several: Whether it takes several models.
    """

    name: str
    summary: str
    write: Callable[[Path, PackageRequest], object]
    outputs: Callable[[PackageNames], tuple[str, ...]]
    main: Callable[[PackageNames], str]
    uses: tuple[str, ...]
    play: str
    several: bool = True


def _apk_name(names: PackageNames) -> str:
    return f"{names.name}-assets.apk"


def _write_apk(folder: Path, request: PackageRequest) -> None:
    write_asset_apk(
        folder / _apk_name(request),
        package=request.package,
        version_code=request.version_code,
        version_name=request.version_name,
        label=request.title,
        files=request.files,
        key=request.key,
    )


def _write_app_bundle(folder: Path, request: PackageRequest) -> None:
    path = folder / _bundle_name(request)
    write_app_bundle(path, request)
    # The signature covers the contents, not the archive around them.
    write_sum(path)


def _bundle_name(names: PackageNames) -> str:
    return f"{names.name}.aab"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="assets",
            summary="files and Kotlin for an app's own sources",
            write=write_asset_tree,
            outputs=lambda _names: ("assets", "kotlin", SNIPPET),
            main=lambda _names: "assets",
            uses=("kotlin",),
            play="base",
        ),
        Kind(
            name="apk",
            summary="signed package without code, installed apart from the app",
            write=_write_apk,
            outputs=lambda names: (_apk_name(names),),
            main=_apk_name,
            uses=("identity", "certificate"),
            play="",
        ),
        Kind(
            name="aar",
            summary="Android library in a local Maven repository",
            write=lambda folder, request: write_maven_repository(
                folder / "maven", request
            ),
            outputs=lambda _names: ("maven",),
            main=lambda names: f"maven/{aar_path(names.package, names.version_name)}",
            uses=("identity", "kotlin"),
            play="base",
        ),
        Kind(
            name="asset-pack",
            summary="Gradle module for Play Asset Delivery",
            write=lambda folder, request: write_asset_pack(
                folder / "asset-pack", request
            ),
            outputs=lambda _names: ("asset-pack",),
            main=lambda _names: "asset-pack",
            uses=("delivery",),
            play="pack",
        ),
        Kind(
            name="ai-pack",
            summary="Gradle module for Play for On-device AI",
            write=lambda folder, request: write_ai_pack(folder / "ai-pack", request),
            outputs=lambda _names: ("ai-pack",),
            main=lambda _names: "ai-pack",
            uses=("delivery",),
            play="pack",
        ),
        Kind(
            name="aab",
            summary="signed app bundle: an empty base and an asset pack",
            write=_write_app_bundle,
            outputs=lambda names: (
                _bundle_name(names),
                f"{_bundle_name(names)}.sha256",
            ),
            main=_bundle_name,
            uses=("identity", "certificate", "delivery"),
            play="pack",
        ),
        Kind(
            name="update",
            summary="signed model for apps that update themselves",
            write=write_update,
            outputs=lambda names: (f"{names.name}{SUFFIX}", KEY),
            main=lambda names: f"{names.name}{SUFFIX}",
            uses=("identity", "certificate"),
            play="",
            several=False,
        ),
        Kind(
            name="app",
            summary="Gradle project of a complete app",
            write=lambda folder, request: write_app(folder / "app", request),
            outputs=lambda _names: ("app",),
            main=lambda _names: "app",
            uses=("identity", "app"),
            play="base",
            several=False,
        ),
    )
}


def kind_named(name: str) -> Kind:
    """Give a kind of Android package.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in KINDS:
        raise InputError(f"kind must be {', '.join(KINDS)}; received {name!r}")
    return KINDS[name]
