import math

import numpy as np
import pytest

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.likeness import psnr, ssim


def flat(value, side=11):
    return np.full((side, side, 3), float(value))


def test_equal_pictures_are_alike_without_limit():
    picture = np.random.default_rng(0).uniform(0, 255, (20, 16, 3))
    assert psnr(picture, picture) == math.inf
    assert ssim(picture, picture) == pytest.approx(1.0)


def test_decibels_are_those_of_the_mean_squared_error():
    # An error of 25.5 everywhere is a tenth of the peak: 20 dB.
    assert psnr(flat(100), flat(125.5)) == pytest.approx(20.0)
    # In one channel of three, a third of the square: 10 log10(3) = 4.77 dB more.
    other = flat(100)
    other[..., 0] += 25.5
    assert psnr(flat(100), other) == pytest.approx(20 + 10 * math.log10(3))


def test_flat_pictures_differ_in_luminance_alone():
    # Variances and covariance are 0, so (2ab + c1) / (a² + b² + c1), c1 = 2.55².
    expected = (2 * 100 * 150 + 6.5025) / (100**2 + 150**2 + 6.5025)
    assert ssim(flat(100), flat(150)) == pytest.approx(expected)


def test_a_negative_is_worse_than_noise():
    picture = np.random.default_rng(1).uniform(0, 255, (32, 32, 3))
    noisy = picture + np.random.default_rng(2).normal(0, 5, picture.shape)
    assert ssim(picture, 255 - picture) < 0 < ssim(picture, noisy) < 1


def test_it_is_what_scikit_image_computes():
    metrics = pytest.importorskip(
        "skimage.metrics", reason="compared with scikit-image: pip install scikit-image"
    )
    random = np.random.default_rng(3)
    picture = random.uniform(0, 255, (40, 33, 3))
    noisy = np.clip(picture + random.normal(0, 30, picture.shape), 0, 255)
    expected = metrics.structural_similarity(
        picture,
        noisy,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(picture, noisy) == pytest.approx(expected, abs=1e-9)
    known = metrics.peak_signal_noise_ratio(picture, noisy, data_range=255)
    assert psnr(picture, noisy) == pytest.approx(known)


def test_pictures_that_cannot_be_compared_are_refused():
    with pytest.raises(EvaluationError, match="one shape"):
        psnr(flat(1), flat(1, 12))
    with pytest.raises(EvaluationError, match="11x11"):
        ssim(flat(1, 10), flat(1, 10))
