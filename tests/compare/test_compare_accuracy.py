"""Answers compared in pairs; the figures are worked out by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from edgedeploy.compare import Limits
from edgedeploy.compare.accuracy import (
    Answers,
    Same,
    compare_answers,
    recorded_answers,
)


def answers(old, new, labels, classes=3):
    """Scores that name the given classes; -1 is a skipped picture."""

    def scores(named):
        rows = np.full((len(named), classes), 0.1, np.float32)
        for row, best in zip(rows, named, strict=True):
            row[best] = 0.8
            if best < 0:
                row[:] = np.nan
        return rows

    return Answers(
        source="drawn",
        names=[f"{index}.png" for index in range(len(labels))],
        labels=np.array(labels),
        old=scores(old),
        new=scores(new),
    )


def test_drop_and_agreement_by_hand():
    # Of four labelled pictures old has 3 right and new 2; one of the five differs.
    top1, agreement = compare_answers(
        answers([0, 1, 2, 0, 1], [0, 1, 1, 0, 1], [0, 1, 2, 1, -1]), Limits()
    )
    # Wilson's intervals of 3 and of 2 in 4, and of 4 in 5.
    assert top1.old == "75.0 % [30.1, 95.4]"
    assert top1.new == "50.0 % [15.0, 85.0]"
    assert top1.change == pytest.approx(0.25)
    low, high = top1.change_ci95
    assert low < 0.25 < high
    assert top1.passed is False
    assert agreement.new == "80.0 % [37.6, 96.4]"
    assert "1 of 5 answers differ" in agreement.detail
    # KL of (.1, .1, .8) from (.1, .8, .1), in one of five pictures.
    expected = 0.7 * np.log(8) / 5
    assert f"KL {expected:.4f}" in agreement.detail


def test_a_drop_within_the_limit_says_when_pictures_are_few():
    top1, _ = compare_answers(answers([0, 1], [0, 1], [0, 1]), Limits())
    assert top1.passed is True
    assert "too few to be sure" in top1.detail
    # A limit that nothing can exceed is certain with any number of pictures.
    top1, _ = compare_answers(
        answers([0, 1], [0, 1], [0, 1]), Limits(max_top1_drop=1.0)
    )
    assert "too few" not in top1.detail


def test_pictures_that_either_side_skipped_count_for_neither():
    top1, agreement = compare_answers(
        answers([0, -1, 2], [0, 1, -1], [0, 1, 2]), Limits()
    )
    assert "1 labelled pictures" in top1.detail
    assert "0 of 1 answers differ" in agreement.detail


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("why not", "why not"),
        (answers([-1], [-1], [0]), "no picture could be decoded"),
    ],
)
def test_what_was_not_measured_has_its_reason(given, reason):
    for finding in compare_answers(given, Limits()):
        assert finding.passed is None
        assert reason in finding.detail


def test_answers_that_cannot_differ_pass_without_pictures():
    top1, agreement = compare_answers(Same(reason="the same bytes"), Limits())
    assert (top1.passed, top1.change, top1.limit) == (True, 0.0, 0.008)
    assert (agreement.passed, agreement.change) == (True, 0.0)


def test_unlabelled_pictures_still_show_agreement():
    top1, agreement = compare_answers(answers([0, 1], [0, 2], [-1, -1]), Limits())
    assert top1.passed is None
    assert agreement.change == pytest.approx(0.5)


def test_a_quantised_softmax_is_compared_without_a_divergence():
    given = answers([0, 1], [0, 1], [0, 1])
    given.old[:] *= 0.6
    top1, agreement = compare_answers(given, Limits())
    assert top1.change == 0
    assert "no KL" in agreement.detail


def test_other_classes_cannot_be_paired():
    given = answers([0], [0], [0])
    other = Answers(
        source="drawn",
        names=given.names,
        labels=given.labels,
        old=given.old,
        new=np.array([[0.9, 0.1]], np.float32),
    )
    top1, _ = compare_answers(other, Limits())
    assert "3 against 2 classes" in top1.detail


@pytest.fixture
def sides(tmp_path):
    """Two builds' records of three pictures and two classes."""
    made = []
    for name in ("old", "new"):
        folder = tmp_path / name
        folder.mkdir()
        np.save(folder / "int8.npy", np.full((3, 2), 0.5, np.float32))
        truth = {"images": ["a", "b", "c"], "labels": [0, None, 1]}
        (folder / "pictures.json").write_text(json.dumps(truth))
        made.append(
            SimpleNamespace(
                shipped=SimpleNamespace(sha256=name),
                pipeline=None,
                scores=folder,
                recipe="int8",
                evaluation={"dataset": {"name": "drawn", "sha256": "x"}},
            )
        )
    return made


def test_recorded_scores_are_paired(sides):
    found = recorded_answers(*sides)
    assert isinstance(found, Answers)
    assert found.labels.tolist() == [0, -1, 1]


@pytest.mark.parametrize(
    "labels", [[0, None, 2], [0, None, "1"], [0, None, 10**30], [-1, 0, 0], [True] * 3]
)
def test_labels_that_are_no_classes_are_told(sides, labels):
    for side in sides:
        truth = {"images": ["a", "b", "c"], "labels": labels}
        (side.scores / "pictures.json").write_text(json.dumps(truth))
    assert "give --images a folder" in recorded_answers(*sides)


@pytest.mark.parametrize(
    "damaged", [b"", b"PK", np.zeros(3), np.zeros(()), np.zeros((3, 2), "U4")]
)
def test_damaged_scores_are_told(sides, damaged):
    path = sides[1].scores / "int8.npy"
    if isinstance(damaged, bytes):
        path.write_bytes(damaged)
    else:
        np.save(path, damaged)
    assert "scores cannot be read" in recorded_answers(*sides)
