"""The section about classes and confusions."""

import io

import pytest
from rich.console import Console

from edgedeploy.report import ReportData, render
from edgedeploy.report.classes import tabulate_classes
from edgedeploy.report.terminal_accuracy import print_classes

WORST = {
    "label": 1,
    "pictures": 12,
    "top1": 0.25,
    "top1_ci95": [0.089, 0.532],
    "reference_top1": 0.5,
    "reference_top1_ci95": [0.254, 0.746],
}
CONFUSION = {"reference": 1, "variant": 3, "pictures": 4, "losses": 3, "gains": 1}


@pytest.fixture
def judged(values):
    cards = values["evaluation"]["variants"]
    cards["float32"] |= {"worst_classes": [WORST], "confusions": []}
    for recipe in ("dynamic_int8", "int8"):
        cards[recipe] |= {"worst_classes": [WORST], "confusions": [CONFUSION] * 5}
    return values


def printed(data):
    console = Console(file=io.StringIO(), width=100, color_system=None)
    print_classes(console, data)
    return console.file.getvalue()


def test_the_chosen_variant_comes_first_and_classes_have_their_names(judged):
    found = tabulate_classes(ReportData(**judged))
    assert [one.recipe for one in found] == ["dynamic_int8", "float32", "int8"]
    (line,) = found[0].worst
    assert (line.label, line.pictures) == ("tabby cat", "12")
    assert (line.top1[:2], line.reference[:2]) == ("25", "50")
    assert line.interval.replace("\N{NO-BREAK SPACE}", " ") == "9 % to 53 %"
    known = line.reference_interval.replace("\N{NO-BREAK SPACE}", " ")
    assert known == "25 % to 75 %"
    assert line.reference_interval in render(ReportData(**judged))
    confusion = found[0].confusions[0]
    assert (confusion.reference, confusion.variant) == ("tabby cat", "red panda")
    assert (confusion.pictures, confusion.losses, confusion.gains) == ("4", "3", "1")
    assert found[1].confusions == ()


def test_without_labels_nothing_is_called_wrong(judged):
    judged["evaluation"]["variants"]["int8"] |= {"top1": None, "worst_classes": None}
    (found,) = [
        one for one in tabulate_classes(ReportData(**judged)) if one.recipe == "int8"
    ]
    assert found.worst == ()
    assert found.confusions[0].losses == "—"


def test_the_terminal_shows_the_top_three_of_each(judged):
    said = printed(ReportData(**judged))
    assert said.count("3 of 4 became wrong") == 6


def test_builds_without_such_figures_have_no_such_section(data):
    assert 'id="classes"' not in render(data)
    assert printed(data) == ""


def test_the_page_escapes_class_names(judged):
    judged["labels"] = ("<script>x</script>",) * 6
    page = render(ReportData(**judged))
    assert 'id="classes"' in page
    assert "<script>x" not in page
