"""evaluation.json from the scores of the variants, skipped pictures left out."""

import numpy as np
import pytest

from edgedeploy.evaluate.scorecard import scorecard
from edgedeploy.stages.evaluation import _kept, _unmeasured


def test_rows_of_skipped_pictures_do_not_reach_the_figures():
    scores = np.eye(4, dtype=np.float32)
    scores[2] = np.nan
    kept = [0, 1, 3]
    rows = _kept(scores, kept)
    card = scorecard(["a", "b", "d"], np.array([0, 1, 2]), rows, rows)
    # The third that is left answers class 3, and its label says 2.
    assert card["top1"] == pytest.approx(2 / 3)
    assert card["mean_kl"] == 0.0


def test_every_null_has_a_reason():
    five = np.eye(5, dtype=np.float32)
    names = list("abcde")
    labelled = scorecard(names, np.arange(5), five, five)
    reason = "with 5 classes every answer is among the best 5"
    assert _unmeasured({"float32": labelled}, 5) == {
        "top5": reason,
        "top5_ci95": reason,
    }
    unlabelled = scorecard(names, np.full(5, -1), five, five)
    reasons = _unmeasured({"float32": unlabelled}, 5)
    assert set(reasons) == {key for key, value in unlabelled.items() if value is None}
    assert set(reasons.values()) == {"no picture has a label of this model"}
