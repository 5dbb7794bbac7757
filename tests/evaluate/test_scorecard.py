"""The figures of one variant, from answers small enough to check by eye."""

import json

import numpy as np
import pytest

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.scorecard import FLIPPED_SHOWN, scorecard


def one_hot(classes, count):
    return np.eye(count, dtype=np.float32)[classes]


NAMES = [f"{n}.jpg" for n in range(8)]
LABELS = np.array([0, 1, 2, 3, 4, 5, -1, -1])
# The reference misses pictures 4 and 5; the variant misses 0 and 1, and mends 4.
REFERENCE = one_hot([0, 1, 2, 3, 0, 0, 6, 6], 7)
VARIANT = one_hot([1, 0, 2, 3, 4, 0, 6, 5], 7)


def test_card_by_hand():
    card = scorecard(NAMES, LABELS, REFERENCE, VARIANT)
    assert card["top1"] == 3 / 6
    assert card["top1_drop"] == pytest.approx((2 - 1) / 6)
    assert card["top1_drop_ci95"][0] < 1 / 6 < card["top1_drop_ci95"][1]
    assert card["paired"] == {"losses": 2, "gains": 1, "pairs": 6}
    # Three disagreements, two one way: 2 * (C(3,0) + C(3,1)) / 8 = 1.
    assert card["mcnemar_p"] == 1.0
    assert card["agreement_top1"] == 4 / 8
    assert card["flipped_count"] == 4
    assert card["flipped"] == [
        {"image": "0.jpg", "label": 0, "reference": 0, "variant": 1},
        {"image": "1.jpg", "label": 1, "reference": 1, "variant": 0},
        {"image": "4.jpg", "label": 4, "reference": 0, "variant": 4},
        {"image": "7.jpg", "label": None, "reference": 6, "variant": 5},
    ]
    # Class 0 keeps 2 of 8; classes 4 and 5 each gain one picture.
    assert card["collapse"] == 1 / 8


def test_top5_counts_ranks_below_five():
    scores = np.array([[0.3, 0.25, 0.2, 0.1, 0.08, 0.07]] * 6)
    labels = np.arange(6)
    card = scorecard(NAMES[:6], labels, scores, scores)
    assert card["top5"] == 5 / 6
    # Wilson by hand: (0.8333 + 0.3201 ± 1.96 * sqrt(0.02315 + 0.02668)) / 1.6402.
    assert card["top5_ci95"] == pytest.approx([0.4365, 0.9699], abs=1e-4)
    assert card["top1"] == 1 / 6


def test_five_classes_have_no_top5():
    scores = one_hot([0, 1], 5)
    card = scorecard(NAMES[:2], np.array([0, 1]), scores, scores)
    assert card["top5"] is None
    assert card["top1"] == 1.0


def test_without_labels_accuracy_is_null_and_agreement_is_measured():
    card = scorecard(NAMES, np.full(8, -1), REFERENCE, VARIANT)
    for field in ("top1", "top1_ci95", "top5", "top1_drop", "top1_drop_ci95"):
        assert card[field] is None
    assert card["agreement_top1"] == 0.5


def test_the_reference_against_itself_drops_nothing():
    card = scorecard(NAMES, LABELS, REFERENCE, REFERENCE)
    assert (card["top1_drop"], card["mean_kl"], card["collapse"]) == (0, 0, 0)
    assert card["flipped"] == []


def test_flipped_pictures_are_counted_all_and_shown_a_hundred():
    before, after = one_hot([0] * 250, 3), one_hot([1] * 250, 3)
    names = [str(n) for n in range(250)]
    card = scorecard(names, np.full(250, -1), before, after)
    assert card["flipped_count"] == 250
    assert [entry["image"] for entry in card["flipped"]] == names[:FLIPPED_SHOWN]


def test_card_is_plain_json():
    card = scorecard(NAMES, LABELS, REFERENCE, VARIANT)
    assert json.loads(json.dumps(card, allow_nan=False)) == card


def test_no_picture_left_is_an_error():
    with pytest.raises(EvaluationError, match="no picture left"):
        scorecard([], np.zeros(0, int), np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize("at", range(4))
def test_counts_that_do_not_go_together_are_an_error(at):
    parts = [NAMES, LABELS, REFERENCE, VARIANT]
    parts[at] = parts[at][:-1]
    with pytest.raises(EvaluationError, match="do not go together"):
        scorecard(*parts)


def test_other_classes_than_the_reference_are_an_error():
    with pytest.raises(EvaluationError, match="cannot compare"):
        scorecard(NAMES, LABELS, REFERENCE, one_hot([0] * 8, 8))


def test_a_variant_that_answers_nan_is_an_error():
    broken = VARIANT.copy()
    broken[3] = np.nan
    with pytest.raises(EvaluationError, match="picture number 3"):
        scorecard(NAMES, LABELS, REFERENCE, broken)


def test_reference_held_against_itself_leaves_no_doubt():
    scores = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], np.float32)
    card = scorecard(["a", "b"], np.array([0, 0]), scores, scores)
    assert card["top1"] == 0.5
    assert card["top1_drop"] == 0.0
    assert card["top1_drop_ci95"] == [0.0, 0.0]
    assert card["agreement_top1_ci95"] == [1.0, 1.0]
