"""The page of a sweep, and the table of its widths in the report."""

import pytest
from PIL import Image

from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.report import ReportData, render
from edgedeploy.report.sweep import render_sweep
from edgedeploy.report.widths import tabulate_widths

WIDTHS = [("float32", 32), ("linear", 8), ("linear", 1), ("table", 8), ("grouped", 1)]
LABELS = ("goldfish", "tabby <cat>", "espresso")


class Spec:
    """What the page reads of a model."""

    title, labels = "A & B", LABELS
    pipeline = ImagePipeline(width=8, height=8)


def row(scheme, bits, **figures):
    kernels = scheme == "linear"
    return {
        "scheme": scheme,
        "bits": bits,
        "size_bytes": 5_000_000,
        "deflated_bytes": 4_000_000,
        "zstd_bytes": 3_900_000,
        "brotli_bytes": None,
        "kernel_bytes": 6_000_000 if kernels else None,
        "kernel_deflated_bytes": 4_500_000 if kernels else None,
        "runs": "somehow",
        **figures,
    }


@pytest.fixture
def answered():
    accuracy = {
        "top1": 0.9,
        "top1_ci95": [0.8, 0.95],
        "agreement_top1": 0.987,
        "agreement_top1_ci95": [0.93, 0.99],
        "mean_kl": 0.0017,
    }
    answers = [[0, 0.91], [0, 0.9], [1, 0.4], [0, 0.9], [2, 0.3]]
    return {
        "outputs": "answers",
        "images": 75,
        "rows": [row(*width, **accuracy) for width in WIDTHS],
        "pictures": [
            {
                "image": name,
                "row": number,
                "answers": answers,
                "breaks": {"linear": 1, "table": None, "grouped": bits},
            }
            for number, (name, bits) in enumerate([("late.png", 1), ("soon.png", 8)])
        ],
        "notes": [],
        "unmeasured": {"brotli_bytes": "the Python package brotli is not installed"},
    }


@pytest.fixture
def pictured(tmp_path):
    likeness = {"psnr_db": 31.26, "ssim": 0.91, "lowest_ssim": 0.5}
    for scheme, bits in WIDTHS:
        name = scheme if bits == 32 else f"{scheme}-{bits}"
        Image.new("RGB", (20, 10)).save(tmp_path / f"4-{name}.png")
    return {
        "outputs": "pictures",
        "images": 30,
        "rows": [row(*width, **likeness) for width in WIDTHS],
        "pictures": [
            {
                "image": "a.png",
                "row": 4,
                "answers": [{"psnr_db": None, "ssim": 1.0}]
                + [{"psnr_db": 30.0, "ssim": one} for one in (0.95, 0.2, 0.9, 0.1)],
                "breaks": {"linear": 1, "table": None, "grouped": 1},
            }
        ],
        "notes": ["outputs reach far"],
        "unmeasured": {},
    }


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_changed_answers_are_named_and_kept_ones_are_not_repeated(answered):
    html = plain(render_sweep(answered, Spec, {}))
    assert "A &amp; B" in html
    # Once a picture, where one bit changed the answer.
    assert html.count("tabby &lt;cat&gt;") == 2
    assert html.count('class="changed"') == 4
    assert (
        "First breaks: linear at 1, table never, tables for 16 channels at 8." in html
    )
    assert "brotli is not installed" in html
    # The most fragile picture comes first.
    assert html.index("soon.png") < html.index("late.png")


def test_the_user_chooses_the_pictures(answered):
    html = render_sweep(answered, Spec, {}, show=("late.png",))
    assert "late.png" in html
    assert "soon.png" not in html


def test_output_pictures_stand_side_by_side(pictured, tmp_path):
    html = plain(render_sweep(pictured, Spec, {}, folder=tmp_path))
    # float32's and the four widths'; the picture itself is not at hand.
    assert html.count("<img") == 5
    assert html.count('class="changed"') == 2
    assert "SSIM 0.950" in html
    assert "31.3 dB" in html
    assert "outputs reach far" in html


def test_pictures_that_are_gone_leave_their_figures(pictured, tmp_path):
    html = plain(render_sweep(pictured, Spec, {}, folder=tmp_path / "gone"))
    assert "<img" not in html
    assert "SSIM 0.950" in html


def test_widths_have_every_size_and_interval(answered):
    found = tabulate_widths(answered)
    line = found.lines[1]
    cells = dict(zip(found.columns, line.cells, strict=True))
    assert line.name == "linear, 8 bits"
    assert plain(cells["packed"].text) == "5.00 MB"
    assert plain(cells["for kernels"].text) == "6.00 MB"
    # Measured of no width, it has a reason instead of a column.
    assert "brotli" not in cells
    assert found.unmeasured[0].startswith("brotli: ")
    assert plain(cells["agreement"].text) == "98.7 %"
    assert cells["agreement"].detail == "93.0 to 99.0"
    assert found.lines[0].cells[-1].text == "—"
    assert [one.first for one in found.lines] == [True, True, False, True, True]
    assert found.lines[2].name == "linear, 1 bit"


def test_the_report_shows_the_widths_and_the_way_to_the_page(values, answered):
    values["sweep"] = answered
    html = render(ReportData(**values))
    assert '<a href="sweep.html">' in html
    assert "tables for 16 channels, 1 bit" in html


def test_unasked_there_is_no_such_section(data):
    assert tabulate_widths(None) is None
    assert "sweep.html" not in render(data)
