"""The section about making the variants."""

import pytest

from edgedeploy.recipes import RECIPES
from edgedeploy.report import ReportData, render
from edgedeploy.report.comparison import compare_variants
from edgedeploy.report.conversion import (
    compare_quantizers,
    tabulate_conversion,
    tell_finetuned,
)

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
    assert plain(converter.agreement_interval) == "96.8 to 98.6"
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


@pytest.mark.parametrize(
    ("kept", "after", "end"),
    [
        (True, 0.0044, "That was better, so it is kept."),
        (False, 0.0061, "That was no better, so the file is as it was before."),
    ],
)
def test_fine_tuning_is_told_with_its_figures(values, kept, after, end):
    tuned = {"kept": kept, "images": 94, "judged_on": 160, "mean_kl": [0.0052, after]}
    values["conversion"] = {"int8": {**CONVERTER, "finetuned": tuned}}
    data = ReportData(**values)
    (sentence,) = tell_finetuned(data)
    assert "int8 was fine-tuned on 94 pictures: KL 0.0052" in plain(sentence)
    assert f"{after:.4f} after, on 160 views" in plain(sentence)
    assert sentence.endswith(end)
    assert sentence in render(data)


@pytest.mark.parametrize("tuned", [{}, None, "x", {"mean_kl": [1]}, {"mean_kl": "ab"}])
def test_odd_figures_of_fine_tuning_do_not_break_the_page(values, tuned):
    values["conversion"] = {"int8": {**CONVERTER, "finetuned": tuned}}
    assert 'id="conversion"' in render(ReportData(**values))


def test_without_fine_tuning_nothing_is_said_of_it(both):
    assert tell_finetuned(both) == ()


def test_a_recipe_with_a_budget_is_described_and_broken_at_its_budget(values):
    variants = values["evaluation"]["variants"]
    variants["int4_mixed@0.01"] = dict(variants["int8"])
    rows = {row.recipe: row for row in compare_variants(ReportData(**values))}
    assert rows["int4_mixed@0.01"].summary == RECIPES["int4_mixed"].summary
    assert rows["int8"].summary == RECIPES["int8"].summary
    assert "<dt>int4_mixed<wbr>@0.01</dt>" in render(ReportData(**values))
