"""The section about models that take many sizes of picture."""

from dataclasses import replace

from edgedeploy.report import render
from edgedeploy.report.data import ReportData
from edgedeploy.report.sizes import tabulate_sizes

ROW = {"p50_ms": 4.6, "first_invoke_ms": 9.25, "peak_rss_bytes": 61e6}
SHAPES = {
    "schema": 1,
    "variants": {
        "int8": {
            "sizes": {"224x224": ROW, "299x299": {"error": "out of memory"}},
            "unmeasured": {
                "sizes.331x331": "at most 2 sizes are timed",
                "conditions.before.governor": "this kernel offers none",
            },
        }
    },
}
EMPTY = ReportData(manifest={}, evaluation={})


def test_each_size_has_its_figures_or_its_error():
    (variant,) = tabulate_sizes(replace(EMPTY, shapes=SHAPES))
    first, second = variant["lines"]
    plain = {
        key: value.replace("\N{NO-BREAK SPACE}", " ") for key, value in first.items()
    }
    assert plain["size"] == "224x224"
    assert plain["latency"].replace("\N{NARROW NO-BREAK SPACE}", " ") == "4.60 ms"
    assert plain["memory"].replace("\N{NARROW NO-BREAK SPACE}", " ") == "61 MB"
    assert (second["size"], second["error"]) == ("299x299", "out of memory")
    assert variant["notes"] == ["at most 2 sizes are timed"]


def test_a_model_of_one_size_has_no_such_section():
    assert tabulate_sizes(EMPTY) == []
    assert "Sizes of picture" not in render(EMPTY)


def test_the_page_shows_sizes_and_escapes_what_strangers_wrote():
    row = {"error": "<script>alert(1)</script>"}
    strange = {"variants": {"<b>": {"sizes": {"<i>": row}, "unmeasured": {}}}}
    html = render(replace(EMPTY, shapes=strange))
    assert "Sizes of picture" in html
    assert "<script>alert" not in html
    assert "<i>" not in html
