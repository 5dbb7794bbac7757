"""The section about calibration stability."""

import io

import pytest
from rich.console import Console

from edgedeploy.report import ReportData, render
from edgedeploy.report.stability import tabulate_stability
from edgedeploy.report.terminal_accuracy import print_stability

ROW = {
    "calibration_images": [32, 33],
    "top1": [0.881, 0.89],
    "top1_ci95": [[0.8, 0.9], [0.8, 0.9]],
    "top1_difference": -0.009,
    "top1_difference_ci95": [-0.04, 0.02],
    "agreement_top1": 0.985,
    "agreement_top1_ci95": [0.95, 0.99],
    "mean_kl": 0.0011,
    "flipped_count": 2,
}


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def printed(data):
    console = Console(file=io.StringIO(), width=120, color_system=None)
    print_stability(console, data)
    return plain(console.file.getvalue())


def test_halves_stand_beside_the_agreement_with_float32(values):
    values["evaluation"]["stability"] = {"int8": ROW}
    data = ReportData(**values)
    (line,) = tabulate_stability(data)
    assert line.images == "32 and 33"
    halves = ("88.1 % [80.0, 90.0]", "89.0 % [80.0, 90.0]")
    assert tuple(map(plain, line.halves)) == halves
    assert (plain(line.difference), plain(line.interval)) == ("-0.9", "[-4.0, 2.0]")
    assert plain(line.agreement) == "98.5 %"
    # The example build's own int8 agrees with float32 on 98.0 %.
    assert plain(line.yardstick) == "98.0 %"
    assert 'id="stability"' in render(data)
    said = printed(data)
    assert "-0.9 [-4.0, 2.0]" in said
    assert "98.5 % [95.0, 99.0]" in said
    assert halves[0] in said
    assert halves[1] in said


def test_unasked_there_is_no_such_section(data):
    assert tabulate_stability(data) == ()
    assert 'id="stability"' not in render(data)
    assert printed(data) == ""


@pytest.mark.parametrize(
    "found", [None, 3, {"int8": None}, {"<b>": {"top1": None}}, {"x": {"top1": [None]}}]
)
def test_strange_values_are_no_crash(values, found):
    values["evaluation"]["stability"] = found
    data = ReportData(**values)
    assert "<b>" not in render(data)
    printed(data)
