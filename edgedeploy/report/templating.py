"""The templates of the pages, opened in one way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.report import notation

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).resolve().parent / "templates"


def open_templates() -> Environment:
    """Open the templates; what they show is escaped, and cleaned of controls."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        # Markup was made here, from cleaned values; everything else is text.
        return value if isinstance(value, Markup) else notation.printable(value)

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
