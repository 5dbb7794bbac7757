"""A complete app as a Gradle project, generated for the model at hand."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from edgedeploy.errors import InputError, PackageError
from edgedeploy.resources import resource_folder
from edgedeploy.targets.android.request import PackageRequest
from edgedeploy.targets.android.runtime_limits import check_models
from edgedeploy.targets.android.tree import with_sums, write_tree
from edgedeploy.targets.payload import Payload

_PURE = "classifier/src/main/kotlin/edgedeploy"
_ANDROID = "app/src/main/kotlin/edgedeploy"
_MAIN = "app/src/main"
# What version control calls it; a wheel's builder would obey the real name.
_RENAMED = {"gitignore": ".gitignore"}


def write_app(folder: Path, request: PackageRequest) -> None:
    """Write the app's project: template, Kotlin of the contract, models.

    The folder is generated: what else is in it goes away, so copy it before you edit.

    Args:
        folder: The project's folder.
        request: What to package; one model.

    Raises:
        InputError: If the app cannot show what this model gives.
        PackageError: If the app's LiteRT is too old for it.
        WorkspaceError: If the folder or the disk does not take it.
    """
    payload = _only(request)
    check_models(request.files)
    files: dict[str, Path | bytes] = {
        **app_sources(),
        "model.properties": _properties(request).encode(),
        f"{_MAIN}/res/values/model.xml": _resources(request, payload).encode(),
    }
    for name, source in request.files.items():
        files[f"{_MAIN}/{name}"] = source
    write_tree(folder, with_sums(files))


def app_sources() -> dict[str, Path]:
    """Files of the project that are the same for every model, by name in it.

    Raises:
        PackageError: If this installation lacks them.
    """
    template = resource_folder("android_assets") / "app"
    kotlin = resource_folder("android_assets") / "kotlin"
    found = {
        path.relative_to(template).as_posix(): path
        for path in template.rglob("*")
        if path.is_file()
    }
    found |= {f"{_PURE}/{path.name}": path for path in kotlin.glob("*.kt")}
    found |= {
        f"{_ANDROID}/{path.name}": path for path in (kotlin / "litert").glob("*.kt")
    }
    if "settings.gradle.kts" not in found:
        raise PackageError(
            f"the installation lacks the app's template ({template}); install "
            "edgedeploy again"
        )
    return {_RENAMED.get(name, name): found[name] for name in sorted(found)}


def app_id(package: str) -> str:
    """Give the app's application id, beside which the asset-only APK can be installed.

    Args:
        package: The application id that packages without code have.
    """
    return f"{package}.app"


def _only(request: PackageRequest) -> Payload:
    if len(request.payloads) != 1:
        names = ", ".join(payload.model for payload in request.payloads)
        raise InputError(f"the app shows one model; package {names} one by one")
    payload = request.payloads[0]
    for name, what in (
        ("neighbours/", "an embedding's nearest neighbours"),
        ("operators/", "operators of its own"),
    ):
        if any(file.startswith(name) for file in payload.files):
            raise InputError(
                f"{payload.model} needs {what}, which the app does not have; take "
                "--kind assets or aar, and write that part in your app"
            )
    return payload


def _properties(request: PackageRequest) -> str:
    """Write a Java .properties file (java.util.Properties.load)."""
    values = {
        "applicationId": app_id(request.package),
        "versionCode": str(request.version_code),
        "versionName": request.version_name,
    }
    return "".join(f"{key}={_escaped(value)}\n" for key, value in values.items())


def _escaped(value: str) -> str:
    return "".join(
        character
        if " " < character <= "~" and character != "\\"
        else "".join(
            f"\\u{code:04x}"
            for code in memoryview(character.encode("utf-16-le")).cast("H")
        )
        for character in value
    )


def _resources(request: PackageRequest, payload: Payload) -> str:
    """Write the strings that depend on the model, as Android's resources."""
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        "<resources>",
        f'    <string name="app_name">{_string(request.title)}</string>',
        '    <string name="model_folder" translatable="false">'
        f"{_string(payload.model)}</string>",
        "</resources>",
    ]
    return "\n".join(lines) + "\n"


def _string(text: str) -> str:
    """Escape a text for a string resource (Android developer guide, string resources).

    Quotes around it keep spaces; @ and ? have no meaning inside.
    """
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escape(inner)}"'
