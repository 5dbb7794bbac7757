"""What the detective concludes from right and wrong answers."""

import numpy as np
import pytest

from edgedeploy.detect.candidates import (
    CHANNELS,
    CROP,
    FRACTION,
    KERNEL,
    RANGE,
    Candidate,
    fine_candidates,
    main_candidates,
    stated_values,
)
from edgedeploy.detect.verdict import best, blind_spot, compare, holm, judge_axes
from edgedeploy.ondevice.contract import ImagePipeline

STATED = ImagePipeline(width=8, height=8, mean=(127,) * 3, std=(128,) * 3)


def candidate(span, channels):
    return Candidate(values=((RANGE, span), (CHANNELS, channels)), pipeline=STATED)


def answers(right, total=100, start=0):
    """`right` right answers in a row, beginning at `start`."""
    found = np.zeros(total, bool)
    found[start : start + right] = True
    return found


def test_every_contract_is_tried_once_and_the_stated_one_is_among_them():
    tried = main_candidates(STATED)
    assert len(tried) == 5 * 2 * 2
    assert len({one.pipeline.digest() for one in tried}) == len(tried)
    assert STATED in [one.pipeline for one in tried]
    stated = stated_values(STATED)
    (own,) = [
        one
        for one in tried
        if all(one.value(axis) == stated[axis] for axis in (RANGE, CHANNELS, CROP))
    ]
    assert own.pipeline == STATED


def test_range_that_is_almost_a_known_one_takes_its_name():
    # 127 and 128 give -0.992 to 1, which no network can tell from -1 to 1.
    assert stated_values(STATED)[RANGE] == "-1..1"
    odd = ImagePipeline(width=8, height=8, mean=(100, 90, 80), std=(50, 50, 50))
    assert stated_values(odd)[RANGE] == "mean 100/90/80, std 50/50/50"
    assert len(main_candidates(odd)) == 6 * 2 * 2


def test_squashed_takes_the_whole_picture():
    narrow = ImagePipeline(width=8, height=8, crop_fraction=0.875)
    squashed = [
        one.pipeline for one in main_candidates(narrow) if one.value(CROP) == "squashed"
    ]
    assert {(one.crop, one.crop_fraction) for one in squashed} == {("none", 1.0)}


def test_fine_axes_vary_one_thing_around_the_winner():
    fine = fine_candidates(STATED)
    assert {one.pipeline.kernel for one in fine[FRACTION]} == {STATED.kernel}
    assert {one.pipeline.crop_fraction for one in fine[KERNEL]} == {1.0}
    for candidates in fine.values():
        assert STATED in [one.pipeline for one in candidates]


def test_holm_by_hand():
    # Sorted .01 .02 .04: times 3, 2, 1, and never falling.
    assert holm({"a": 0.04, "b": 0.01, "c": 0.02}) == pytest.approx(
        {"b": 0.03, "c": 0.04, "a": 0.04}
    )
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}


def test_comparison_by_hand():
    # 90 against 70 right, 10 of these elsewhere: 30 lost, 10 won.
    found = compare(answers(90), answers(70, start=30))
    assert found["drop"] == pytest.approx(0.2)
    low, high = found["drop_ci95"]
    assert 0 < low < 0.2 < high
    # Twice the binomial tail P(X <= 10 | 40, 1/2), summed with Python's integers.
    from math import comb

    tail = 2 * sum(comb(40, k) for k in range(11)) / 2**40
    assert found["p"] == pytest.approx(tail)


def test_axis_is_found_when_all_its_other_values_lose_clearly():
    right = {
        candidate("-1..1", "rgb"): answers(90),
        candidate("-1..1", "bgr"): answers(89, start=1),
        candidate("0..1", "rgb"): answers(60),
        candidate("0..1", "bgr"): answers(60),
    }
    assert best(right) == candidate("-1..1", "rgb")
    judged = judge_axes(right, (RANGE, CHANNELS))
    assert judged[RANGE]["found"] == "-1..1"
    assert judged[RANGE]["ties"] == ["-1..1"]
    assert judged[RANGE]["values"]["0..1"]["drop"] == pytest.approx(0.3)
    # One picture in a hundred says nothing about the channels.
    assert judged[CHANNELS]["found"] is None
    assert judged[CHANNELS]["ties"] == ["rgb", "bgr"]


def test_value_is_judged_by_its_best_candidate():
    # With bgr, another range nearly reaches the winner, so it cannot be ruled out.
    right = {
        candidate("-1..1", "rgb"): answers(90),
        candidate("-1..1", "bgr"): answers(30),
        candidate("0..1", "rgb"): answers(30),
        candidate("0..1", "bgr"): answers(89),
    }
    judged = judge_axes(right, (RANGE, CHANNELS))
    assert judged[RANGE]["found"] is None
    # What it costs is said for this value alone, all else as in the winner.
    assert judged[RANGE]["values"]["0..1"]["drop"] == pytest.approx(0.6)


def test_pictures_of_one_class_decide_nothing():
    labels = np.zeros(100, np.int64)
    said = blind_spot(answers(99), labels)
    assert "always answers the most frequent class is on 100.0 %" in said


def test_pictures_of_many_classes_decide():
    labels = np.arange(100) % 10
    assert blind_spot(answers(80), labels) is None


def test_winner_that_a_constant_answer_equals_decides_nothing():
    # 60 of 100 show class 0; the winner is right on 62 others and these alike.
    labels = np.where(np.arange(100) < 60, 0, 1)
    assert blind_spot(answers(62), labels) is not None
