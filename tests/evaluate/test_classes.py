"""Worst classes and new confusions, counted by hand."""

import numpy as np
import pytest

from edgedeploy.evaluate.classes import SHOWN, new_confusions, worst_classes

#                  class 0: 4 pictures   class 1: 1  class 2: 3   none
LABELS = np.array([0, 0, 0, 0, 1, 2, 2, 2, -1, -1])
REFERENCE = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3, 3])
VARIANT = np.array([1, 1, 0, 0, 2, 2, 2, 2, 3, 0])


def test_worst_class_is_the_one_that_is_surely_bad():
    rows = worst_classes(LABELS, REFERENCE, VARIANT)
    # Two of four leave an upper end of 0.85; none of one leaves 0.79; 2 is all right.
    assert [row["label"] for row in rows] == [1, 0]
    assert rows[0] | {"top1_ci95": None} == {
        "label": 1,
        "pictures": 1,
        "top1": 0.0,
        "top1_ci95": None,
        "reference_top1": 1.0,
        "reference_top1_ci95": [pytest.approx(0.2065, abs=1e-4), 1.0],
    }
    assert rows[0]["top1_ci95"] == pytest.approx([0.0, 0.7935], abs=1e-4)
    assert (rows[1]["top1"], rows[1]["reference_top1"]) == (0.5, 0.75)


def test_one_wrong_picture_weighs_less_than_ten():
    labels = np.array([0] + [1] * 10)
    rows = worst_classes(labels, labels, np.full(11, 2))
    assert [row["label"] for row in rows] == [1, 0]


def test_without_labels_there_are_no_classes_to_judge():
    assert worst_classes(np.full(3, -1), REFERENCE[:3], VARIANT[:3]) is None


def test_confusions_are_those_that_the_reference_did_not_make():
    assert new_confusions(LABELS, REFERENCE, VARIANT) == [
        {"reference": 0, "variant": 1, "pictures": 2, "losses": 2, "gains": 0},
        {"reference": 1, "variant": 2, "pictures": 1, "losses": 1, "gains": 0},
        {"reference": 1, "variant": 0, "pictures": 1, "losses": 0, "gains": 1},
        {"reference": 3, "variant": 0, "pictures": 1, "losses": 0, "gains": 0},
    ]
    assert new_confusions(LABELS, REFERENCE, REFERENCE) == []


def test_long_lists_are_cut():
    labels = np.arange(30)
    assert len(worst_classes(labels, labels, labels + 1)) == SHOWN
    assert len(new_confusions(labels, labels, labels + 1)) == SHOWN
