import pytest

from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.shapes import InputShapes, parse_shapes

RANGE = {"shape": "range", "min": [160, 128], "max": [320, 256], "step": [32, 64]}
LIST = {"shape": "enumerated", "sizes": [[224, 224], [96, 320]]}


@pytest.mark.parametrize("values", [RANGE, {**LIST, "sizes": sorted(LIST["sizes"])}])
def test_shapes_survive_json(values):
    assert InputShapes.from_dict(values).to_dict() == values


def test_a_list_allows_what_it_lists():
    shapes = InputShapes.from_dict(LIST)
    assert shapes.allows(96, 320)
    assert not shapes.allows(320, 96)
    assert shapes.tested() == ((96, 320), (224, 224))
    assert shapes.describe() == "96x320, 224x224"


def test_a_range_allows_whole_steps_from_its_beginning_to_its_end():
    shapes = InputShapes.from_dict(RANGE)
    widths = [w for w in range(1, 400) if shapes.allows(w, 128)]
    heights = [h for h in range(1, 400) if shapes.allows(160, h)]
    assert widths == [160, 192, 224, 256, 288, 320]
    assert heights == [128, 192, 256]


def test_of_a_range_the_corners_and_a_repeatable_sample_are_tested():
    shapes = InputShapes.from_dict(RANGE)
    tested = shapes.tested(seed=3)
    assert {(160, 128), (160, 256), (320, 128), (320, 256)} < set(tested)
    assert all(shapes.allows(*size) for size in tested)
    assert tested == shapes.tested(seed=3)
    assert len({shapes.tested(seed=n) for n in range(5)}) > 1


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("224x224,96x320", LIST),
        ("224, 96x320", LIST),
        ("160x128..320x256/32x64", RANGE),
        (
            "160..320/32",
            {"shape": "range", "min": [160] * 2, "max": [320] * 2, "step": [32] * 2},
        ),
    ],
)
def test_shapes_are_read_from_a_flag(text, values):
    assert parse_shapes(text) == InputShapes.from_dict(values)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "224x", "0", "9999", "224x224,224", "224;299", "-5", "9" * 5000),
        *("160..320", "320..160/32", "160..320/33", "160../8", "1..2..3/1"),
        "160..320/0",
    ],
)
def test_a_flag_that_names_no_shapes_is_refused_in_one_line(text):
    with pytest.raises(ContractError) as refused:
        parse_shapes(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "values",
    [
        {},
        [],
        None,
        {"shape": "any"},
        {"shape": ["range"]},
        {"shape": "enumerated"},
        {"shape": "enumerated", "sizes": []},
        {"shape": "enumerated", "sizes": 5},
        {"shape": "enumerated", "sizes": [[1, 2, 3]]},
        {"shape": "enumerated", "sizes": [[True, 2]]},
        {"shape": "enumerated", "sizes": [[1.5, 2]]},
        {"shape": "enumerated", "sizes": [[n, n] for n in range(1, 66)]},
        {"shape": "enumerated", "sizes": [[8, 8]], "min": [8, 8]},
        {**RANGE, "sizes": [[8, 8]]},
        {**RANGE, "step": [0, 64]},
        {**RANGE, "max": None},
        {**RANGE, "extra": 1},
        {"shape": "range", "smallest": [8, 8], "largest": [8, 8], "step": 1},
    ],
)
def test_impossible_values_are_refused(values):
    with pytest.raises(ContractError):
        InputShapes.from_dict(values)
