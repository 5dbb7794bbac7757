import numpy as np
import pytest
from PIL import Image

from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import PictureError, fit
from edgedeploy.ondevice.resample import resample_plain

KERNELS = ("box", "bilinear", "bicubic", "lanczos")


def line(*values: int) -> np.ndarray:
    """A picture one pixel high with the same value in each channel."""
    return np.repeat(np.array([values], np.uint8)[..., None], 3, axis=2)


def resample_line(values, count, kernel):
    wide = resample_plain(line(*values), (count, 1), kernel)
    tall = resample_plain(line(*values).transpose(1, 0, 2), (1, count), kernel)
    np.testing.assert_array_equal(wide, tall.transpose(1, 0, 2))
    assert (wide == wide[..., :1]).all()
    return wide[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("values", "count", "kernel", "expected"),
    [
        # Centres at 0.5, 2.5: halfway between two pixels, half up.
        ([0, 101, 200, 101], 2, "bilinear", [51, 151]),
        # Centres at -0.25, 0.25, 0.75, 1.25; the border repeats.
        ([0, 100], 4, "bilinear", [0, 25, 75, 100]),
        # A centre at 1: the neighbours have no weight, without antialiasing.
        ([0, 40, 200], 1, "bilinear", [40]),
        # Centres at 1 and 4.
        ([9, 40, 200, 7, 60, 5], 2, "box", [40, 60]),
        # A tie goes to the pixel on the right.
        ([0, 100], 1, "box", [100]),
        # Keys at half a pixel: -1/16, 9/16, 9/16, -1/16.
        ([16, 32, 64, 160], 1, "bicubic", [43]),
        # Overshoot saturates: (9 * 255 + 9 * 255) / 16 > 255.
        ([0, 255, 255, 0], 1, "bicubic", [255]),
        ([255, 0, 0, 255], 1, "bicubic", [0]),
        # (-16 * 8 + 9 * 8 * 3) / 16, the border's weights shared out anew: 14/16.
        ([8, 24], 1, "bicubic", [16]),
    ],
)
def test_values_are_those_worked_out_by_hand(values, count, kernel, expected):
    assert resample_line(values, count, kernel) == expected


def test_lanczos_at_half_a_pixel():
    # 3 sin(pi x) sin(pi x / 3) / (pi x)^2 at 0.5, 1.5, 2.5 is 0.6079, -0.1351, 0.0243;
    # twice their sum is 0.9942. With 200 in one inner pixel: 200 * 0.6079 / 0.9942.
    assert resample_line([0, 0, 200, 0, 0, 0], 1, "lanczos") == [122]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (20, 3), (64, 64)])
def test_one_colour_stays_one_colour(kernel, size):
    rgb = np.empty((9, 13, 3), np.uint8)
    rgb[:] = (1, 128, 254)
    found = resample_plain(rgb, size, kernel)
    assert found.shape == (size[1], size[0], 3)
    assert (found == rgb[0, 0]).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_same_size_is_the_same_picture(kernel):
    rgb = np.random.default_rng(1).integers(0, 256, (9, 13, 3), np.uint8)
    np.testing.assert_array_equal(resample_plain(rgb, (13, 9), kernel), rgb)


@pytest.mark.parametrize("kernel", KERNELS)
def test_enlarging_is_what_pillow_does(kernel):
    """Antialiasing changes nothing there."""
    # Low contrast: Pillow also saturates between its two passes, and rounds there.
    rgb = np.random.default_rng(2).integers(90, 166, (9, 13, 3), np.uint8)
    pillow = Image.fromarray(rgb).resize((40, 31), Image.Resampling[kernel.upper()])
    found = resample_plain(rgb, (40, 31), kernel).astype(int)
    assert np.abs(found - np.asarray(pillow).astype(int)).max() <= 1


@pytest.mark.parametrize("size", [(20, 31), (299, 299), (7, 3)])
def test_bilinear_is_what_tensorflow_does(size):
    import tensorflow as tf

    rgb = np.random.default_rng(3).integers(0, 256, (61, 83, 3), np.uint8)
    values = tf.image.resize(
        rgb.astype(np.float32), size[::-1], method="bilinear", antialias=False
    ).numpy()
    found = resample_plain(rgb, size, "bilinear")
    # TensorFlow gives single-precision values; only a rounding may fall otherwise.
    assert np.abs(found - values).max() <= 0.5 + 1e-3


def test_bicubic_is_what_tensorflow_does():
    import tensorflow as tf

    rgb = np.random.default_rng(4).integers(0, 256, (61, 83, 3), np.uint8)
    values = tf.image.resize(
        rgb.astype(np.float32), (31, 20), method="bicubic", antialias=False
    ).numpy()
    found = resample_plain(rgb, (20, 31), "bicubic")
    # TensorFlow looks the kernel up in a table of 1024 steps.
    assert np.abs(found - np.clip(values, 0, 255)).max() <= 1.0


def test_contract_without_antialiasing_takes_this_way():
    rgb = np.random.default_rng(5).integers(0, 256, (60, 60, 3), np.uint8)
    contract = ImagePipeline(width=7, height=7, antialias=False)
    expected = resample_plain(rgb, (7, 7), "bilinear")
    np.testing.assert_array_equal(fit(Image.fromarray(rgb), contract), expected)
    wide = fit(Image.fromarray(rgb), ImagePipeline(width=7, height=7))
    assert (wide != expected).any()


def test_columns_come_before_rows_also_where_only_the_height_shrinks():
    # Columns 0 3 become 0 .75 2.25 3, which round to 0 1 2 3; with a black row below
    # the mean is 0 .5 1 1.5. Rows first would give 0 2, then 0 .5 1.5 2: a 2 for the 1.
    rgb = np.concatenate([line(0, 3), line(0, 0)])
    contract = ImagePipeline(width=4, height=1, crop="none")
    found = fit(Image.fromarray(rgb), contract)
    np.testing.assert_array_equal(found, line(0, 1, 1, 2))


def test_sliver_that_would_become_gigabytes_is_refused():
    contract = ImagePipeline(width=299, height=299, order="resize_then_crop")
    sliver = Image.new("RGB", (60_000, 1))
    with pytest.raises(PictureError, match="60000x1 pixels would be resized to 17940"):
        fit(sliver, contract)
    tiny = ImagePipeline(
        width=299, height=299, order="resize_then_crop", crop_fraction=1e-6
    )
    with pytest.raises(PictureError, match="over the limit"):
        fit(Image.new("RGB", (8, 8)), tiny)
