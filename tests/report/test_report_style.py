"""The style sheet: contrast in light, dark and print."""

import re
from pathlib import Path

import pytest

import edgedeploy.report

CSS = (Path(edgedeploy.report.__file__).parent / "templates" / "report.css").read_text(
    encoding="utf-8"
)
PAIRS = [
    ("ink", "page"),
    ("ink", "card"),
    ("ink", "accent-soft"),
    ("muted", "page"),
    ("muted", "card"),
    ("accent", "page"),
    ("accent", "card"),
    ("accent", "accent-soft"),
    ("warn", "page"),
    ("warn", "warn-soft"),
    ("bad", "page"),
    ("bad", "card"),
    ("bad", "bad-soft"),
]


def palettes():
    """The colours of light, dark and print, in the order of the sheet."""
    blocks = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def luminance(colour):
    """Relative luminance, WCAG 2.1."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_luminance_agrees_with_the_known_extremes():
    assert luminance("#000000") == 0
    assert luminance("#ffffff") == pytest.approx(1)
    # The guideline's own borderline grey on white: 4.54 to 1.
    assert 1.05 / (luminance("#767676") + 0.05) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_has_the_contrast_of_wcag_aa(theme, text, ground):
    assert len(palettes()) == 3
    colours = palettes()[theme]
    low, high = sorted([luminance(colours[text]), luminance(colours[ground])])
    assert (high + 0.05) / (low + 0.05) >= 4.5
