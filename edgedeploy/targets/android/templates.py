"""Fills in the templates of android_assets/."""

from __future__ import annotations

from pathlib import Path

from edgedeploy.resources import resource_folder


def render(folder: str, name: str, **values: object) -> str:
    """Fill in one template.

    Args:
        folder: Below android_assets/, such as "aab".
        name: The template; values are escaped for XML where its name ends in .xml.
        **values: What it needs; one that is missing is an error.

    Returns:
        The text.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_folder("android_assets") / folder),
        autoescape=name.endswith(".xml"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(**values)


def template_files() -> tuple[Path, ...]:
    """Every template and file that packages take over as it is, but the Kotlin."""
    folder = resource_folder("android_assets")
    return tuple(
        path
        for name in ("aab", "aar", "apk", "pack")
        for path in sorted((folder / name).iterdir())
    )
