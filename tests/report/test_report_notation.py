"""Figures as text."""

import math

import pytest

from edgedeploy.report import notation

NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    "value", [None, math.nan, math.inf, -math.inf, True, "5", [1], 10**400]
)
def test_what_is_not_a_finite_number_is_a_dash(value):
    for write in (
        notation.count,
        notation.percent,
        notation.points,
        notation.megabytes,
        notation.milliseconds,
        notation.ratio,
        notation.divergence,
        notation.exact_bytes,
    ):
        assert write(value) == "—"


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (notation.count, 22136, "22,136"),
        (notation.percent, 0.882, f"88.2{NBSP}%"),
        (notation.points, 0.008, "0.8"),
        (notation.points, -0.004, f"{MINUS}0.4"),
        (notation.points, -0.0001, "0.0"),
        (notation.megabytes, 22_901_184, f"22.90{NBSP}MB"),
        (notation.megabytes, 1_234_567_890, f"1,234.57{NBSP}MB"),
        (notation.exact_bytes, 21_675, f"21,675{NBSP}B"),
        (notation.milliseconds, 4.6, f"4.60{NBSP}ms"),
        (notation.ratio, 1.934, "1.93\N{MULTIPLICATION SIGN}"),
        (notation.divergence, 0.00264, "0.0026"),
        (notation.threads, 1, f"1{NBSP}thread"),
        (notation.threads, 4, f"4{NBSP}threads"),
    ],
)
def test_figures_have_units_and_fixed_decimals(write, value, text):
    assert write(value) == text


def test_counted_nouns_agree_with_their_number():
    assert notation.counted(1, "picture") == "1 picture"
    assert notation.counted(1000, "picture") == "1,000 pictures"


@pytest.mark.parametrize(
    "hostile", ["\x1b[31mred", "a\u202egnp.exe", "\udcff.jpg", "nul\x00", "del\x7f"]
)
def test_characters_that_hide_or_reorder_are_replaced(hostile):
    shown = notation.printable(hostile)
    assert "\N{REPLACEMENT CHARACTER}" in shown
    assert len(shown) == len(hostile)
    shown.encode("utf-8")


@pytest.mark.parametrize("kept", ["Löwe", "金魚", "\u0646\u200c\u0647", "two\nlines"])
def test_letters_of_all_scripts_are_kept(kept):
    assert notation.printable(kept) == kept
