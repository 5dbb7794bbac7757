import hashlib

import numpy as np
import pytest

from edgedeploy.ondevice.comparison import compare_scores
from edgedeploy.ondevice.delivered import BundleError, Expected

EXPECTED = Expected(
    top_k=((1, 0.6), (0, 0.3)), output=((1, 0.6), (0, 0.3)), raw_sha256=None
)


@pytest.mark.parametrize(
    ("scores", "tolerance", "complaint"),
    [
        ([0.3, 0.6, 0.1], 1e-6, None),
        ([0.3, 0.62, 0.1], 1e-2, "class 1"),
        ([0.3, float("nan"), 0.1], 1e-2, "class 1"),
        ([0.3, 0.6, 0.5], 1e-2, "unlisted"),
        ([0.3, 0.6, float("nan")], 1e-2, "unlisted"),
        ([0.3], 1e-2, "there are 1"),
        ([0.46, 0.44, 0.1], 0.2, "best class"),
    ],
)
def test_scores_are_compared(scores, tolerance, complaint):
    values = np.array(scores, np.float32)
    if complaint is None:
        assert "largest" in compare_scores(EXPECTED, values, tolerance, raw=b"")
    else:
        with pytest.raises(BundleError, match=complaint):
            compare_scores(EXPECTED, values, tolerance, raw=b"")


def test_another_best_class_within_the_tolerance_is_a_tie():
    tie = Expected(
        top_k=((0, 0.5), (1, 0.49)), output=((0, 0.5), (1, 0.49)), raw_sha256=None
    )
    compare_scores(tie, np.array([0.49, 0.5], np.float32), 0.05, raw=b"")


def test_raw_output_has_to_agree_in_classes_that_are_not_listed():
    digest = hashlib.sha256(b"\x01\x02").hexdigest()
    promise = Expected(top_k=((0, 0.5),), output=((0, 0.5),), raw_sha256=digest)
    scores = np.array([0.5, 0.25], np.float32)
    assert compare_scores(promise, scores, 0.0, raw=b"\x01\x02") == "bit for bit"
    with pytest.raises(BundleError, match="bit for bit"):
        compare_scores(promise, scores, 0.0, raw=b"\x01\x03")
