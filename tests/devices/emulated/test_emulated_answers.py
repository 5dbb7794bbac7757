import base64
import json

import numpy as np
import pytest

from edgedeploy.devices.emulated.answers import (
    Answer,
    compare,
    read_answers,
    relative_difference,
)
from edgedeploy.errors import DeviceError


def answer(values, *, question="1.png", rgb="r", tensor="t", delegate="XNNPACK"):
    array = np.asarray(values)
    return Answer(
        question=question,
        rgb_sha256=rgb,
        tensor_sha256=tensor,
        dtype=str(array.dtype),
        output=array.tobytes(),
        delegate=delegate,
        runtime="2.3.0",
    )


def floats(*values, **more):
    return answer(np.array(values, np.float32), **more)


def bytes_(*values, **more):
    return answer(np.array(values, np.uint8), **more)


def test_equal_bytes_are_bit_for_bit():
    passed, detail = compare("int8", [bytes_(1, 2)], [bytes_(1, 2)])
    assert passed
    assert "bit for bit" in detail


def test_one_step_of_int8_is_a_failure():
    passed, detail = compare("int8", [bytes_(1, 2, 3)], [bytes_(1, 2, 4)])
    assert not passed
    assert detail == "1.png: 1 of 3 outputs differ"


def test_float_within_a_hundred_thousandth_of_the_largest_passes():
    # 0.5 * 1e-5 = 5e-6 is allowed.
    assert compare("float32", [floats(0.5, 0.1)], [floats(0.5, 0.100004)])[0]
    passed, detail = compare("float32", [floats(0.5, 0.1)], [floats(0.5, 0.10001)])
    assert not passed
    assert "1e-05 allowed" in detail


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic_int8"])
def test_answers_that_are_no_numbers_fail(recipe, value):
    assert not compare(recipe, [floats(0.5, 0.1)], [floats(0.5, value)])[0]
    assert not compare(recipe, [floats(0.5, 0.1)], [floats(value, 0.1)])[0]


def test_dynamic_range_is_held_to_its_best_class():
    passed, detail = compare("dynamic_int8", [floats(0.6, 0.4)], [floats(0.58, 0.42)])
    assert passed
    assert "best class" in detail
    assert not compare("dynamic_int8", [floats(0.6, 0.4)], [floats(0.4, 0.6)])[0]


def test_quantised_output_of_an_unknown_recipe_is_bit_for_bit():
    assert not compare("int4_mixed", [bytes_(1)], [bytes_(2)])[0]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"rgb": "x"}, "pixels"),
        ({"tensor": "x"}, "input tensor"),
        ({"delegate": "none"}, "delegate none"),
    ],
)
def test_another_way_to_the_answer_is_a_failure(other, said):
    passed, detail = compare("int8", [bytes_(1)], [bytes_(1, **other)])
    assert not passed
    assert said in detail


def test_float_input_may_differ_in_its_last_bits():
    assert compare("float32", [floats(1.0)], [floats(1.0, tensor="x")])[0]


def test_missing_and_further_answers_fail():
    assert not compare("int8", [bytes_(1)], [])[0]
    assert not compare("int8", [bytes_(1)], [bytes_(1), bytes_(1, question="2")])[0]
    assert not compare("int8", [bytes_(1)], [bytes_(1, question="2.png")])[0]


def test_no_answers_at_all_have_not_passed():
    assert not compare("int8", [], [])[0]


def test_shorter_output_fails():
    assert not compare("int8", [bytes_(1, 2)], [bytes_(1)])[0]
    assert not compare("float32", [floats(1.0, 2.0)], [floats(1.0)])[0]


def test_relative_difference_by_hand():
    ours, theirs = np.array([2.0, -4.0]), np.array([2.0, -3.0])
    assert relative_difference(ours, theirs) == 0.25
    assert relative_difference(np.zeros(2), np.array([0.0, 0.5])) == 0.5
    assert relative_difference(np.zeros(2), np.zeros(2)) == 0.0


def line(**changes):
    value = {
        "recipe": "int8",
        "input": "1.png",
        "rgb_sha256": "r",
        "tensor_sha256": "t",
        "dtype": "uint8",
        "output": base64.b64encode(b"\x01\x02").decode(),
        "delegate": "XNNPACK",
        "runtime": "2.3.0",
    }
    return json.dumps(value | changes) + "\n"


def test_answers_are_read_by_recipe(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(line() + line(input="2.png") + line(recipe="float32"))
    found = read_answers(path)
    assert [one.question for one in found["int8"]] == ["1.png", "2.png"]
    assert found["int8"][0].output == b"\x01\x02"
    assert len(found["float32"]) == 1


def test_a_line_that_breaks_off_counts_as_none_where_that_is_expected(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(line() + line()[:40])
    assert len(read_answers(path, whole=False)["int8"]) == 1
    with pytest.raises(DeviceError, match="break off"):
        read_answers(path)


@pytest.mark.parametrize(
    "text",
    [
        "no json\n",
        "[]\n",
        "{}\n",
        line(dtype="float64"),
        line(dtype="object"),
        line(output="***"),
        line(dtype="float32"),
        "\xff\n",
    ],
)
def test_malformed_answers_are_one_error(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DeviceError):
        read_answers(path)
