"""The summary on the terminal."""

import io

import pytest
from rich.console import Console

from edgedeploy.report import ReportData, print_summary


def summary(values, *, encoding="utf-8", **options):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    console = Console(file=stream, **({"width": 80} | options))
    print_summary(console, ReportData(**values))
    return stream.buffer.getvalue().decode(encoding)


def test_summary_fits_80_columns(values):
    values["warnings"] = ("A warning that goes on and on " * 8, "x" * 300)
    values["manifest"]["deliverables"] = {"android/" + "y" * 200: {}}
    printed = summary(values)
    assert max(len(line) for line in printed.splitlines()) <= 80


def test_summary_has_the_table_the_choice_and_the_deliverables(values):
    printed = summary(values)
    row = next(line for line in printed.splitlines() if "> dynamic_int8" in line)
    assert row.split() == [
        *(">", "dynamic_int8", "5.01", "4.38", "88.3", "\N{MINUS SIGN}0.1", "98.8"),
        *("0.0008", "7.30", "0.60\N{MULTIPLICATION SIGN}"),
    ]
    flowing = " ".join(printed.split())
    assert "dynamic_int8 was chosen: the smallest of the 3 variants" in flowing
    assert "Verified: 2 checks passed, 1 not run here" in flowing
    assert "Warning: dynamic_int8 is slower than float32" in flowing
    assert "android/efficientnet_lite0-assets.apk" in flowing


def test_trees_of_files_are_told_by_their_number(values):
    stamp = {"sha256": "0" * 64, "size_bytes": 1}
    for name in ("a.kt", "res/b.xml", "res/c.xml"):
        values["manifest"]["deliverables"][f"android/app/{name}"] = stamp
    lines = summary(values).splitlines()
    place = lines.index("Deliverables, in the build's folder:")
    assert lines[place + 1 : place + 5] == [
        "  android/app/ (3 files)",
        "  android/assets/ (2 files)",
        "  android/efficientnet_lite0-assets.apk",
        "  pi/efficientnet_lite0-pi-cp311-aarch64.tar.gz",
    ]


def test_every_accuracy_has_its_interval_below_the_table(values):
    lines = summary(values).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("95 % interv"))
    shown = {line.split()[0]: line for line in lines[start + 1 : start + 6]}
    assert set(shown) == set(values["evaluation"]["variants"])
    minus = "\N{MINUS SIGN}"
    assert "[85.8, 89.8]" in shown["int8"]
    assert f"[{minus}0.5, 1.2]" in shown["int8"]
    assert "[96.8, 98.6]" in shown["int8"]
    # The reference drops nothing against itself.
    assert shown["float32"].count("[") < shown["int8"].count("[")


def test_no_control_sequences_when_not_a_terminal(values):
    assert "\x1b" not in summary(values)


def test_no_colour_is_kept_when_the_console_has_none(values):
    printed = summary(values, force_terminal=True, no_color=True)
    assert "\x1b[31m" not in printed
    assert "\x1b[32m" not in printed
    assert "\x1b[33m" not in printed


def test_colour_is_used_on_a_terminal(values):
    printed = summary(
        values, force_terminal=True, color_system="standard", no_color=False
    )
    assert "\x1b[33m" in printed


def test_ascii_terminals_get_ascii(values):
    values["manifest"]["title"] = "Modèle"
    printed = summary(values, encoding="ascii")
    assert "Mod?le" in printed
    assert "-0.1" in printed


def test_hostile_texts_are_neither_markup_nor_commands(values):
    values["warnings"] = ("[bold red]loud[/] \x1b]0;title\x07",)
    printed = summary(values, force_terminal=True, no_color=True)
    assert "[bold red]loud[/]" in printed
    assert "\x1b]0" not in printed


def test_smoke_test_is_called_one(smoke_values):
    assert "Smoke test" in summary(smoke_values)


def test_partial_build_gives_reasons(values):
    values |= {"benchmark": None, "selection": None, "verification": None}
    values["warnings"] = None
    values["unmeasured"] = {"benchmark": "left out", "selection": "nothing timed"}
    flowing = " ".join(summary(values).split())
    assert "Size, latency and memory: not measured; left out." in flowing
    assert "No variant has been chosen: nothing timed." in flowing
    assert "Not verified" in flowing


@pytest.mark.parametrize("width", [20, 40, 200])
def test_other_widths_are_respected(values, width):
    printed = summary(values, width=width)
    assert max(len(line) for line in printed.splitlines()) <= width


def test_empty_build_is_told():
    assert "Not measured" in summary({"manifest": {}, "evaluation": {}})
