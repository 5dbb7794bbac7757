"""The section about the layers that add the error."""

import pytest

from edgedeploy.report import ReportData, render
from edgedeploy.report.layers import tabulate_layers

LAYER = {
    "name": "net/stem",
    "operator": "CONV_2D",
    "tensor": "net/stem/convolution",
    "snr_db": 33.84,
    "input_snr_db": None,
    "own_noise": 0.0132,
}


def test_the_layers_to_keep_are_shown_with_their_decibels(values):
    values["layers"] = {"variants": {"int8": {"layers": [LAYER], "keep": ["net/stem"]}}}
    data = ReportData(**values)
    (variant,) = tabulate_layers(data)
    (line,) = variant.lines
    assert (line.name, line.before, line.after) == ("net/stem", "—", "33.8")
    assert line.own.replace("\N{NO-BREAK SPACE}", " ") == "1.32 %"
    assert 'id="layers"' in render(data)


def test_unasked_there_is_no_such_section(data):
    assert tabulate_layers(data) == ()
    assert 'id="layers"' not in render(data)


@pytest.mark.parametrize(
    "layers",
    [
        {"variants": 3},
        {"variants": {"int8": None}},
        {"variants": {"int8": {"layers": [None], "keep": [None, 3, "gone"]}}},
        {"variants": {"<b>": {"layers": [{"name": "<i>"}], "keep": ["<i>"]}}},
    ],
)
def test_strange_values_are_no_crash(values, layers):
    values["layers"] = layers
    page = render(ReportData(**values))
    assert "<b>" not in page
    assert "<i>" not in page
