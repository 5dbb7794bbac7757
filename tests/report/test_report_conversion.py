"""The section about making the variants."""

import pytest

from edgedeploy.report import ReportData, render
from edgedeploy.report.conversion import compare_quantizers, tabulate_conversion

CONVERTER = {
    "schema": 1,
    "calibration_images": 125,
    "wall_s": 20.0,
    "cpu_s": 24.04,
    "peak_rss_bytes": 1_000_000_000,
}
QUANTIZER = {**CONVERTER, "wall_s": 5.0, "peak_rss_bytes": 330_000_000}


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.fixture
def both(values):
    values["conversion"] = {"int8": CONVERTER, "int8_lq": QUANTIZER}
    for section in (
        values["evaluation"]["variants"],
        values["benchmark"]["devices"]["host"]["variants"],
    ):
        section["int8_lq"] = section["int8"]
    return ReportData(**values)


def test_two_quantizers_stand_side_by_side(both):
    converter, quantizer = tabulate_conversion(both)
    assert (converter.recipe, quantizer.recipe) == ("int8", "int8_lq")
    assert plain(converter.size) == "5.27 MB"
    assert (plain(converter.agreement), converter.divergence) == ("98.0 %", "0.0026")
    assert plain(converter.agreement_interval) == "[96.8, 98.6]"
    assert (converter.images, plain(converter.time)) == ("125", "20.0 s")
    assert (plain(converter.processor), plain(converter.memory)) == (
        "24.0 s",
        "1,000 MB",
    )
    assert plain(quantizer.memory) == "330 MB"
    said = plain(compare_quantizers(both))
    assert "33 % of the memory and 25 % of the time" in said
    assert 'id="conversion"' in render(both)


def test_one_alone_is_listed_and_compared_with_nothing(values):
    values["conversion"] = {"int8": CONVERTER}
    data = ReportData(**values)
    assert [line.recipe for line in tabulate_conversion(data)] == ["int8"]
    assert compare_quantizers(data) == ""


def test_what_was_not_measured_is_a_dash(values):
    values["conversion"] = {"int8": {"schema": 1, "peak_rss_bytes": None}}
    (line,) = tabulate_conversion(ReportData(**values))
    assert (line.time, line.memory, line.images) == ("—", "—", "—")


def test_unmeasured_there_is_no_such_section(data):
    assert tabulate_conversion(data) == ()
    assert 'id="conversion"' not in render(data)
