import json

import numpy as np
import pytest

from edgedeploy.ondevice.contract import (
    ContractError,
    ImagePipeline,
    crop_box,
    dequantise,
    normalisation_table,
    normalise,
    quantise,
    resized_size,
)


def pipeline(**changes) -> ImagePipeline:
    return ImagePipeline(**{"width": 299, "height": 299, **changes})


@pytest.mark.parametrize(
    ("size", "values", "box"),
    [
        # The largest centred square; an odd pixel is cut on the left and above.
        ((400, 300), {}, (50, 0, 350, 300)),
        ((300, 401), {}, (0, 51, 300, 351)),
        ((5, 4), {}, (1, 0, 5, 4)),
        ((1, 1), {}, (0, 0, 1, 1)),
        # 0.875 * 300 = 262.5, down: 262; (400 - 262) / 2 = 69, (300 - 262) / 2 = 19.
        ((400, 300), {"crop_fraction": 0.875}, (69, 19, 331, 281)),
        # 0.875 * 100 = 87.5: 87; of the other 13 seven lie on the left.
        ((100, 100), {"crop_fraction": 0.875}, (7, 7, 94, 94)),
        # 0.3 rounds to nothing, but a box holds a pixel: (3 - 1) // 2 = 1.
        ((3, 3), {"crop_fraction": 0.1}, (1, 1, 2, 2)),
        ((400, 300), {"crop": "none"}, (0, 0, 400, 300)),
        # Each side by itself: 200 and 150 of 400 and 300.
        ((400, 300), {"crop": "none", "crop_fraction": 0.5}, (100, 75, 300, 225)),
    ],
)
def test_crop_box_is_the_one_worked_out_by_hand(size, values, box):
    assert crop_box(*size, pipeline(**values)) == box


@pytest.mark.parametrize("width", [1, 2, 3, 299, 300, 4031])
@pytest.mark.parametrize("height", [1, 7, 299, 3024])
@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.875, 0.999, 1.0])
def test_crop_box_lies_in_the_picture(width, height, fraction):
    left, top, right, bottom = crop_box(width, height, pipeline(crop_fraction=fraction))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert right - left == bottom - top


@pytest.mark.parametrize(
    ("size", "values", "expected"),
    [
        # 224 / 0.875 = 256, the classic; 640 * 256 / 480 = 341.33.
        ((640, 480), {"width": 224, "height": 224}, (341, 256)),
        ((480, 640), {"width": 224, "height": 224}, (256, 341)),
        ((500, 500), {"width": 224, "height": 224}, (256, 256)),
        # 299 / 0.875 = 341.71: 342; 3 * 342 / 2 = 513.
        ((3, 2), {}, (513, 342)),
        # 7 * 342 / 4 = 598.5, half up.
        ((7, 4), {}, (599, 342)),
        # A tall output of a wide picture: the height decides.
        ((400, 100), {"width": 10, "height": 20, "crop_fraction": 1.0}, (80, 20)),
        # A wide output of a square picture: the width decides.
        ((100, 100), {"width": 20, "height": 10, "crop_fraction": 1.0}, (20, 20)),
        ((640, 480), {"crop": "none"}, (342, 342)),
        # Never smaller than the output.
        ((640, 480), {"crop": "none", "crop_fraction": 1.0}, (299, 299)),
    ],
)
def test_resized_size_is_the_one_worked_out_by_hand(size, values, expected):
    contract = pipeline(
        **{"order": "resize_then_crop", "crop_fraction": 0.875, **values}
    )
    assert resized_size(*size, contract) == expected


def test_normalisation_is_mean_and_std_of_each_channel():
    contract = pipeline(mean=(100.0, 0.0, 50.0), std=(50.0, 255.0, 2.0))
    rgb = np.array([[[150, 255, 0]]], np.uint8)
    expected = np.array([[[1.0, 1.0, -25.0]]], np.float32)
    np.testing.assert_array_equal(normalise(rgb, contract), expected)
    assert normalise(rgb, contract).dtype == np.float32


def test_bgr_swaps_values_after_each_met_its_own_mean():
    contract = pipeline(mean=(100.0, 0.0, 50.0), std=(50.0, 255.0, 2.0), channels="bgr")
    rgb = np.array([[[150, 255, 0]]], np.uint8)
    expected = np.array([[[-25.0, 1.0, 1.0]]], np.float32)
    np.testing.assert_array_equal(normalise(rgb, contract), expected)


def test_bgr_swaps_quantised_values_too():
    contract = pipeline(std=(1.0, 1.0, 1.0), mean=(1.0, 2.0, 3.0), channels="bgr")
    rgb = np.array([[[11, 22, 33]]], np.uint8)
    found = quantise(rgb, contract, dtype="uint8", scale=1.0, zero_point=0)
    assert found.tolist() == [[[30, 20, 10]]]


def test_table_is_float32_arithmetic():
    table = normalisation_table(pipeline(mean=(123.675,) * 3, std=(58.395,) * 3))
    assert table.shape == (256, 3)
    assert table.dtype == np.float32
    # In single precision, step by step.
    by_hand = (np.float32(7) - np.float32(123.675)) / np.float32(58.395)
    assert table[7, 1] == by_hand


def test_batches_keep_their_shape():
    rgb = np.zeros((2, 3, 5, 3), np.uint8)
    assert normalise(rgb, pipeline()).shape == (2, 3, 5, 3)
    found = quantise(rgb, pipeline(), dtype="int8", scale=0.1, zero_point=0)
    assert found.shape == (2, 3, 5, 3)
    assert found.dtype == np.int8


@pytest.mark.parametrize(
    ("dtype", "mean", "scale", "zero_point", "values"),
    [
        # 0.5, 1.5, 2.5 steps: half away from zero, not to even.
        ("uint8", 0.0, 2.0, 0, {1: 1, 3: 2, 5: 3, 4: 2}),
        # -2.5, -1.5, -0.5 steps: away from zero downwards.
        ("int8", 10.0, 2.0, 0, {5: -3, 7: -2, 9: -1, 10: 0, 11: 1}),
        ("int8", 10.0, 2.0, -5, {5: -8, 10: -5, 11: -4}),
        # Saturated on both sides.
        ("uint8", 100.0, 1.0, 10, {0: 0, 89: 0, 90: 0, 91: 1, 255: 165}),
        ("uint8", 0.0, 0.5, 0, {127: 254, 128: 255, 255: 255}),
        ("int8", 0.0, 1.0, 0, {126: 126, 127: 127, 128: 127, 255: 127}),
        ("int8", 200.0, 1.0, 0, {0: -128, 72: -128, 73: -127}),
        ("int16", 0.0, 0.005, 0, {0: 0, 1: 200, 163: 32600, 164: 32767}),
    ],
)
def test_quantised_values_are_those_worked_out_by_hand(
    dtype, mean, scale, zero_point, values
):
    contract = pipeline(mean=(mean,) * 3, std=(1.0,) * 3)
    rgb = np.array([[[value] * 3 for value in values]], np.uint8)
    found = quantise(rgb, contract, dtype=dtype, scale=scale, zero_point=zero_point)
    assert found[0, :, 0].tolist() == list(values.values())
    assert found.dtype == dtype


def test_dequantised_values_do_not_wrap():
    found = dequantise(np.array([0, 128, 255], np.uint8), 0.5, 128)
    assert found.tolist() == [-64.0, 0.0, 63.5]
    found = dequantise(np.array([-128, 127], np.int8), 1 / 256, -128)
    assert found.tolist() == [0.0, 255 / 256]
    assert found.dtype == np.float32


def test_contract_survives_json():
    contract = pipeline(
        crop_fraction=0.875, mean=(1, 2.5, 3), alpha_over=(0, 1.0, 255), channels="bgr"
    )
    again = ImagePipeline.from_dict(json.loads(json.dumps(contract.to_dict())))
    assert again == contract
    assert again.digest() == contract.digest()
    assert again.alpha_over == (0, 1, 255)


def test_geometry_is_all_but_the_normalisation():
    same = pipeline(mean=(1, 2, 3), std=(4, 5, 6), channels="bgr")
    assert same.geometry_digest() == pipeline().geometry_digest()
    assert same.digest() != pipeline().digest()
    for change in ({"kernel": "box"}, {"icc": "ignore"}, {"crop_fraction": 0.9}):
        assert pipeline(**change).geometry_digest() != pipeline().geometry_digest()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"width": 0}, "width must be 1 to 8192; received 0"),
        ({"height": 8193}, "height must be 1 to 8192"),
        ({"width": 10**400}, "width must be 1 to 8192"),
        ({"width": 2.0}, "width must be an integer; received 2.0"),
        ({"width": True}, "width must be an integer; received True"),
        ({"width": "299"}, "width must be an integer"),
        ({"crop": "square"}, "crop must be one of center_square, none"),
        ({"crop": []}, "crop must be one of"),
        ({"order": None}, "order must be one of"),
        ({"kernel": "cubic"}, "kernel must be one of nearest, box"),
        ({"channels": "RGB"}, "channels must be one of rgb, bgr"),
        ({"orientation": ""}, "orientation must be one of"),
        ({"icc": {}}, "icc must be one of"),
        ({"crop_fraction": 0}, r"crop_fraction must be in \(0, 1\]"),
        ({"crop_fraction": 1.01}, "crop_fraction must be in"),
        ({"crop_fraction": float("nan")}, "crop_fraction must be in"),
        ({"crop_fraction": "0.5"}, "crop_fraction must be in"),
        ({"crop_fraction": 10**400}, "crop_fraction must be in"),
        ({"antialias": 1}, "antialias must be true or false"),
        ({"mean": [1, 2]}, "mean must be three numbers"),
        ({"mean": 5}, "mean must be three numbers"),
        ({"mean": "abc"}, "mean must be three numbers"),
        ({"mean": [1, 2, None]}, "mean must be three numbers"),
        ({"mean": [1, 2, float("inf")]}, "mean must be three numbers"),
        ({"mean": [1, 2, 10**400]}, "mean must be three numbers"),
        ({"mean": [1, 2, 1e300]}, "mean must be three numbers"),
        ({"std": [1, 2, 0]}, "std must be three numbers in range"),
        ({"std": [1, 2, -3]}, "std must be three numbers in range"),
        ({"std": [1, 2, 1e-300]}, "std must be three numbers in range"),
        ({"alpha_over": [0, 0, 256]}, "alpha_over must be three numbers in range"),
        ({"alpha_over": [0, 0, 0.5]}, "alpha_over must be three numbers in range"),
        ({"sharpen": 1}, "pipeline has no field sharpen; it takes width"),
        ({5: 1}, "pipeline has no field 5"),
    ],
)
def test_impossible_value_is_refused(change, complaint):
    values = {"width": 8, "height": 8, **change}
    with pytest.raises(ContractError, match=complaint) as caught:
        ImagePipeline.from_dict(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [5, None, "ab", [1, 2], [["width", 8]]])
def test_what_is_no_table_is_refused(values):
    with pytest.raises(ContractError, match="pipeline must be a table"):
        ImagePipeline.from_dict(values)


def test_missing_size_is_named():
    with pytest.raises(ContractError, match="pipeline needs width and height"):
        ImagePipeline.from_dict({})
