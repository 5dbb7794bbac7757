"""Metrics against hand-made examples and naive implementations."""

import math

import numpy as np
import pytest

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate import metrics
from edgedeploy.evaluate.metrics import (
    Rows,
    answers,
    collapse,
    floored_kl,
    label_ranks,
    top_k_accuracy,
)


@pytest.fixture(params=[4096, 7, 1], ids=["one chunk", "chunks of 7", "chunks of 1"])
def chunk(request, monkeypatch):
    """Every result has to be the same however many rows are taken at a time."""
    monkeypatch.setattr(metrics, "_CHUNK", request.param)


@pytest.fixture
def probabilities():
    """30 rows of 9 classes with many ties: multiples of 1/16."""
    rng = np.random.default_rng(4)
    return rng.multinomial(16, np.full(9, 1 / 9), size=30).astype(np.float32) / 16


def naive_rank(row, label):
    """Position in a stable sort by falling score."""
    order = sorted(range(len(row)), key=lambda index: (-row[index], index))
    return order.index(label)


def naive_kl(p_row, q_row, floor=1 / 512):
    p = [max(float(value), floor) for value in p_row]
    q = [max(float(value), floor) for value in q_row]
    p = [value / sum(p) for value in p]
    q = [value / sum(q) for value in q]
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_ranks_are_positions_in_a_stable_sort(chunk, probabilities):
    labels = np.random.default_rng(5).integers(0, 9, 30)
    assert label_ranks(probabilities, labels).tolist() == [
        naive_rank(row, label) for row, label in zip(probabilities, labels, strict=True)
    ]


def test_tie_goes_to_the_lower_class():
    scores = np.array([[0.4, 0.4, 0.2]] * 2)
    assert label_ranks(scores, np.array([0, 1])).tolist() == [0, 1]
    assert answers(scores).tolist() == [0, 0]


def test_top_k_counts_the_k_best_with_ties():
    scores = np.array([[0.1, 0.3, 0.3, 0.3], [0.7, 0.1, 0.1, 0.1]])
    labels = np.array([3, 3])
    # Class 3 comes third in the first row and fourth in the second.
    shares = [top_k_accuracy(scores, labels, k) for k in (1, 2, 3, 4)]
    assert shares == [0.0, 0.0, 0.5, 1.0]


def test_accuracy_of_no_pictures_is_an_error():
    with pytest.raises(EvaluationError, match="at least one labelled picture"):
        top_k_accuracy(np.zeros((0, 3)), np.zeros(0, int), 1)


@pytest.mark.parametrize("label", [-1, 3])
def test_label_outside_the_classes_is_an_error(label):
    with pytest.raises(EvaluationError, match="labels must be 0 to 2"):
        label_ranks(np.zeros((1, 3)), np.array([label]))


def test_different_counts_are_an_error():
    with pytest.raises(EvaluationError, match="2 scores but 1 labels"):
        label_ranks(np.zeros((2, 3)), np.array([0]))


@pytest.mark.parametrize("read", [answers, lambda s: label_ranks(s, np.zeros(9, int))])
def test_nan_is_named_and_never_a_right_answer(chunk, read):
    scores = np.full((9, 3), 1 / 3, np.float32)
    scores[8, 0] = np.nan
    with pytest.raises(EvaluationError, match="picture number 8 is not a number"):
        read(scores)


def test_answers_of_an_empty_array_are_empty():
    assert answers(np.zeros((0, 3))).shape == (0,)


def test_kl_by_hand():
    # Both rows sum to 1 and stay above the floor, so no scaling comes in:
    # 0.5 ln(0.5 / 0.25) + 0.5 ln(0.5 / 0.75) = 0.5 ln(4 / 3).
    value = floored_kl(np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]]))
    assert value == pytest.approx(0.14384103622589045, rel=1e-12)


def test_kl_floors_and_scales_both_sides_by_hand():
    # (1, 0) becomes (512, 1) / 513 and (0, 1) becomes (1, 512) / 513:
    # 512/513 ln 512 - 1/513 ln 512 = 511/513 ln 512.
    value = floored_kl(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert value == pytest.approx(511 / 513 * math.log(512), rel=1e-12)


def test_kl_is_the_mean_over_the_rows(chunk, probabilities):
    others = probabilities[::-1]
    expected = np.mean(
        [naive_kl(p, q) for p, q in zip(probabilities, others, strict=True)]
    )
    assert floored_kl(probabilities, others) == pytest.approx(expected, rel=1e-12)


def test_kl_of_equal_answers_is_zero(chunk, probabilities):
    assert floored_kl(probabilities, probabilities) == 0.0


def test_kl_does_not_see_the_rounding_of_a_uint8_softmax():
    # 1000 classes that share what the best leaves: each under half a step of 1/256.
    # Left unscaled, the lost mass would make this "divergence" negative.
    row = np.full(1000, 0.3 / 999)
    row[17] = 0.7
    rounded = np.round(row * 256) / 256
    assert rounded.sum() < 0.71
    assert 0 <= floored_kl(row[None], rounded[None]) < 1e-5


def test_kl_is_never_negative_for_variants_that_do_not_sum_to_one(probabilities):
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert floored_kl(probabilities, probabilities * factor) >= 0


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([[3.0, -1.0]], "values from -1 to 3"),
        ([[2.0, 1.0]], "sums from 3 to 3"),
        ([[0.5, 0.5], [0.1, 0.1]], "sums from 0.2 to 1"),
    ],
)
def test_kl_refuses_logits(rows, found):
    with pytest.raises(EvaluationError, match=found):
        floored_kl(np.array(rows), np.array(rows))


@pytest.mark.parametrize("side", [0, 1])
def test_kl_refuses_nan_on_either_side(side):
    pair = [np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]])]
    pair[side] = np.array([[np.nan, 0.5]])
    with pytest.raises(EvaluationError, match="not a number"):
        floored_kl(*pair)


@pytest.mark.parametrize("shape", [(3, 4), (2, 5), (0, 4)])
def test_kl_of_different_shapes_or_of_nothing_is_an_error(shape):
    reference = np.full((2 if shape[0] else 0, 4), 0.25)
    with pytest.raises(EvaluationError, match="cannot compare"):
        floored_kl(reference, np.full(shape, 0.25))


def test_collapse_by_hand():
    # Class 2 goes from 1 of 8 pictures to 5 of 8; the others lose.
    before = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    after = np.array([0, 2, 2, 1, 1, 2, 2, 2])
    assert collapse(before, after, 3) == 0.5


def test_a_data_set_of_one_class_has_not_collapsed():
    cats = np.full(10, 4)
    assert collapse(cats, cats, 7) == 0.0


def test_collapse_to_a_class_that_the_reference_never_answers():
    assert collapse(np.array([0, 1]), np.array([6, 6]), 7) == 1.0


def test_scores_may_be_mapped_from_a_file(tmp_path, chunk, probabilities):
    np.save(tmp_path / "scores.npy", probabilities)
    mapped = np.load(tmp_path / "scores.npy", mmap_mode="r")
    labels = np.arange(30) % 9
    assert answers(mapped).tolist() == answers(probabilities).tolist()
    assert (label_ranks(mapped, labels) == label_ranks(probabilities, labels)).all()
    assert floored_kl(mapped, probabilities) == 0.0


def test_rows_read_as_the_array_that_they_stand_for(chunk, probabilities):
    index = np.array([29, 3, 3, 11, 0, 5, 6, 7, 8, 9])
    rows, copied = Rows(probabilities, index), probabilities[index]
    labels = np.arange(10) % 9
    assert rows.shape == copied.shape
    assert len(rows) == len(copied)
    assert answers(rows).tolist() == answers(copied).tolist()
    assert (label_ranks(rows, labels) == label_ranks(copied, labels)).all()
    assert floored_kl(rows, copied) == 0.0


def test_metrics_hold_a_chunk_in_memory_and_not_all_rows(tmp_path, monkeypatch):
    import tracemalloc

    monkeypatch.setattr(metrics, "_CHUNK", 64)
    mapped = np.lib.format.open_memmap(
        tmp_path / "scores.npy", "w+", np.float32, (20_000, 100)
    )
    mapped[:] = 0.01
    rows = Rows(mapped, np.arange(1, 20_000))
    tracemalloc.start()
    label_ranks(rows, np.zeros(19_999, int))
    answers(rows)
    floored_kl(rows, rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The scores are 8 MB; 20,000 ranks are 0.16 MB and a chunk 0.05 MB at most.
    assert peak < 2_000_000
