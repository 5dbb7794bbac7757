import io

import pytest
from rich.console import Console

from edgedeploy.report.data import ReportData
from edgedeploy.report.kernels import describe_fallback, is_costly
from edgedeploy.report.page import render
from edgedeploy.report.terminal import print_summary


def _leave(values, recipe, left):
    host = values["benchmark"]["devices"]["host"]["variants"]
    host[recipe]["fallback"] = left
    return ReportData(**values)


def _printed(data):
    text = io.StringIO()
    print_summary(Console(file=text, width=200), data)
    return text.getvalue()


def test_page_and_terminal_name_convolutions_that_xnnpack_left(values):
    data = _leave(values, "int8", {"CONV_2D": 2, "SOFTMAX": 1})
    words = "slower as a rule: 2 CONV_2D, 1 SOFTMAX."
    assert describe_fallback(data, "int8").endswith(words)
    assert words in render(data)
    assert f"int8: {describe_fallback(data, 'int8')}" in _printed(data)


def test_cheap_operators_are_told_on_the_page_alone(values):
    data = _leave(values, "int8", {"SOFTMAX": 1})
    assert not is_costly(data, "int8")
    assert "1 SOFTMAX" in render(data)
    assert "SOFTMAX" not in _printed(data)


def test_nothing_is_said_where_xnnpack_took_all(data):
    assert describe_fallback(data, "int8") == ""
    assert "left to LiteRT" not in render(data)


def test_evaluation_tells_it_where_nothing_was_timed(values):
    values["benchmark"] = None
    values["evaluation"]["variants"]["int8"]["fallback"] = {"CONV_2D": 3}
    assert "3 CONV_2D" in describe_fallback(ReportData(**values), "int8")


@pytest.mark.parametrize("left", [None, [], "CONV_2D", {"CONV_2D": "many"}, {1: None}])
def test_what_is_unknown_or_damaged_is_left_out(values, left):
    values["evaluation"]["variants"]["int8"]["fallback"] = left
    assert describe_fallback(_leave(values, "int8", left), "int8") == ""
