"""The section about devices' preprocessing, on the page and on the terminal."""

import io

import pytest
from rich.console import Console

from edgedeploy.report import ReportData, render
from edgedeploy.report.skew import describe_peculiar, tabulate_skew
from edgedeploy.report.terminal_accuracy import print_skew

CARD = {
    "top1": 0.8,
    "top1_ci95": [0.735, 0.853],
    "top1_drop": 0.082,
    "top1_drop_ci95": [0.022, 0.143],
    "flipped_count": 33,
    "agreement_top1": 0.811,
    "mean_kl": 0.0537,
}
SKEW = {
    "pictures": {"turned": 2, "other_colours": 1500},
    "paths": {
        "mediapipe": {
            "summary": "squashed",
            "follows": "MediaPipe 1.2.2",
            "images": 175,
            "variants": {
                "int8": {**CARD, "top1_drop_ci95": [-0.001, 0.2]},
                "float32": CARD,
            },
        }
    },
}


@pytest.fixture
def skewed(values):
    values["evaluation"]["skew"] = SKEW
    return ReportData(**values)


def printed(data, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_skew(console, data)
    return console.file.getvalue()


def test_preprocessing_stands_beside_quantisation(skewed):
    (path,) = tabulate_skew(skewed)
    reference, int8 = path.lines
    assert (reference.recipe, int8.recipe) == ("float32", "int8")
    assert (reference.skew, reference.skew_interval) == ("8.2", "2.2 to 14.3")
    assert reference.quantisation == "—"
    # The example build's own int8 drops 0.3 points, -0.5 to 1.2.
    assert (int8.quantisation, int8.quantisation_interval) == (
        "0.3",
        "\N{MINUS SIGN}0.5 to 1.2",
    )
    assert (int8.flipped, int8.divergence) == ("33", "0.0537")


def test_only_a_loss_beyond_doubt_stands_out(skewed):
    (path,) = tabulate_skew(skewed)
    assert [line.surely for line in path.lines] == [True, False]
    assert render(skewed).count("<strong>8.2</strong>") == 1


def test_the_page_names_the_source_and_the_peculiar_pictures(skewed):
    page = render(skewed)
    assert "Emulated after MediaPipe 1.2.2." in page
    assert describe_peculiar(skewed) == (
        "Of the pictures, 2 need their EXIF orientation and 1,500 an embedded colour "
        "profile to look right."
    )
    assert describe_peculiar(skewed) in page


def test_the_terminal_shows_the_same(skewed):
    said = printed(skewed)
    assert "mediapipe" in said
    assert "8.2 [2.2, 14.3]" in said
    assert "80.0\N{NO-BREAK SPACE}% [73.5, 85.3]" in said


def test_intervals_are_whole_on_a_narrow_terminal(skewed):
    said = printed(skewed, width=80)
    assert max(map(len, said.splitlines())) <= 80
    for whole in ("[73.5, 85.3]", "[2.2, 14.3]", "[\N{MINUS SIGN}0.5, 1.2]"):
        assert whole in said


def test_without_a_device_path_there_is_no_such_section(data):
    assert tabulate_skew(data) == ()
    assert 'id="skew"' not in render(data)
    assert printed(data) == ""


@pytest.mark.parametrize(
    "skew",
    [
        {"paths": 3},
        {"paths": {"a": None}},
        {"paths": {"a": {"variants": {"int8": 1}}}},
        {"paths": {"a": {"variants": {"int8": {"top1_drop_ci95": ["x", None]}}}}},
        {"pictures": {"turned": "many"}, "paths": {"<b>": {"summary": "<i>"}}},
    ],
)
def test_strange_values_are_no_crash(values, skew):
    values["evaluation"]["skew"] = skew
    data = ReportData(**values)
    page = render(data)
    assert "<b>" not in page
    assert "<i>" not in page
    printed(data)
