"""The app's logic on the JVM: reading a contract, and what gestures and memory ask."""

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hand_made_payloads import LABELS, hand_made_payload
from PIL import Image

from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.resources import resource_folder
from edgedeploy.targets.android.tree import write_tree
from edgedeploy.targets.golden_answers import describe_answer
from edgedeploy.targets.golden_pictures import describe_tensor

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

PROGRAM = Path(__file__).parent / "kotlin_programs" / "AppLogic.kt"
PIPELINE = ImagePipeline(width=40, height=30, crop_fraction=0.9, mean=(1.0, 2.0, 3.0))
STEP = 0.00390625
JSON = (
    (
        ' {"a": [1, -2.5e1, true, null], "b": "\\u00e9\\n"} ',
        "{a=[1, -25.0, true, null]",
    ),
    ("[]", "[]"),
    ("9223372036854775808", "9.223372036854776E18"),
    ("", "JsonException: not JSON: expected a value at character 0"),
    ("[1,]", "JsonException: not JSON: expected a value at character 3"),
    ("01", "JsonException: not JSON: expected the end at character 1"),
    ('{"a":1,"a":2}', "JsonException: not JSON: expected each name once, not a again"),
    ('"\\x"', "JsonException: not JSON: expected one of"),
    ('"open', "JsonException: not JSON: expected '\"' at character 5"),
    ('"\\u12"', "JsonException: not JSON: expected four hexadecimal digits"),
    ("1e999", "JsonException: not JSON: expected a number that a double can hold"),
    ("NaN", "JsonException: not JSON: expected a value at character 0"),
)


def tensor(dtype, scale, zero_point, shape):
    return {
        "name": "x",
        "dtype": dtype,
        "scale": scale,
        "zero_point": zero_point,
        "shape": shape,
    }


def document():
    """A contract as bundles have it, with golden vectors that Python computed."""
    picture = resource_folder("models") / "samples" / "evaluation" / "macaw.jpg"
    image = Image.open(picture).convert("RGB").resize((61, 47))
    plain, clear = image.copy(), image.copy()
    ramp = np.linspace(255, 0, 61).astype(np.uint8)
    clear.putalpha(Image.fromarray(np.tile(ramp, (47, 1))))
    scores = np.array([0.25, 0.5, 0.25], np.float32)
    pictures = {"golden/1.png": plain, "golden/2.png": clear}
    return pictures, {
        "schema": 1,
        "model": "tiny",
        "title": "Tiny — klein",
        "weights": "w",
        "pipeline": PIPELINE.to_dict(),
        "labels": "labels.txt",
        "classes": 3,
        "default": "int8",
        "variants": {
            "int8": {
                "file": "models/int8.tflite",
                "sha256": "0" * 64,
                "size_bytes": 7,
                "input": tensor("uint8", 0.5, 3, [1, 30, 40, 3]),
                "output": tensor("uint8", STEP, 0, [1, 3]),
                "tolerance": 0.0,
                "delegate": "XNNPACK",
                "batch": 2,
            }
        },
        "golden": [
            {
                "file": name,
                "expected": {"int8": describe_answer(scores, b"@\x80@")},
            }
            for name in pictures
        ],
        "shapes": {
            "shape": "range",
            "min": [40, 30],
            "max": [80, 60],
            "step": [40, 30],
        },
    }


def damaged(whole):
    yield "[]", "JsonException: contract.json: no object"
    yield "{}", "JsonException: expected schema as Number; received null"
    for changes, said in (
        ({"schema": 2}, "expected schema 1; received 2"),
        ({"default": "float32"}, "the default float32 is none of [int8]"),
        ({"labels": "../../x"}, "../../x leads out of the contract's folder"),
        ({"classes": 2.5}, "expected classes as a whole number; received 2.5"),
        ({"pipeline": {}}, "pipeline needs the number width"),
        ({"golden": [{}]}, "expected file as String; received null"),
        ({"neighbours": {}}, "the outputs are embeddings"),
        ({"shapes": {"shape": "enumerated", "sizes": [[1]]}}, "expected a size"),
        ({"variants": {"int8": 3}}, "int8: no object"),
    ):
        yield json.dumps(whole | changes), said


@pytest.fixture(scope="module")
def parts(compile_kotlin, tmp_path_factory):
    """What the program says of JSON, of a contract and of the screen; the contract."""
    folder = tmp_path_factory.mktemp("logic")
    (folder / "golden").mkdir()
    pictures, contract = document()
    for entry in contract["golden"]:
        path = folder / entry["file"]
        pictures[entry["file"]].save(path)
        entry |= describe_tensor(prepare(path, PIPELINE), PIPELINE)
    (folder / "contract.json").write_text(json.dumps(contract), "utf-8")
    (folder / "labels.txt").write_text("one\ntwo words\nthree\n")
    (folder / "abc.sha256").write_text(hashlib.sha256(b"abc").hexdigest())
    (folder / "json.txt").write_text("\n".join(asked for asked, _ in JSON))
    for number, (content, _) in enumerate(damaged(contract)):
        (folder / f"bad-{number:02}.json").write_text(content)
    app = resource_folder("android_assets") / "app" / "classifier"
    packaged = tmp_path_factory.mktemp("packaged")
    write_tree(packaged, hand_made_payload().files)
    jar = compile_kotlin(PROGRAM, *sorted(app.rglob("*.kt")))
    done = subprocess.run(
        ["java", "-Dfile.encoding=UTF-8", "-cp", jar, "AppLogicKt", folder, packaged],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [part.strip().split("\n") for part in done.stdout.split("\n--\n")], contract


def test_json_is_read_or_refused_in_one_line(parts):
    *lines, deep = parts[0][0]
    found = "\n".join(lines)
    for _, expected in JSON:
        assert expected in found
    assert deep.startswith("JsonException: not JSON: expected at most 64 levels")


def test_contract_is_read_as_it_was_written(parts):
    lines = parts[0][1]
    assert lines[:4] == [
        "tiny, Tiny — klein, int8, [int8]",
        "40x30 to 80x60 in steps of 40x30, [], [255, 255, 255], true",
        "[one, two words, three]",
        "IllegalArgumentException: labels.txt: expected 3 labels, found 1",
    ]
    assert "TensorType(dtype=uint8, scale=0.5, zeroPoint=3)" in lines[4]
    assert "batch=2" in lines[4]


def test_golden_pictures_pass_and_one_wrong_value_fails(parts):
    lines = parts[0][1][5:13]
    for right, tensor_right, wrong, tensor_wrong in (lines[:4], lines[4:]):
        assert (right, tensor_right) == ("kotlin.Unit", "kotlin.Unit")
        assert wrong.startswith("SelfTestException: golden/")
        assert tensor_wrong.startswith("SelfTestException: golden/")


def test_answers_may_be_a_quantised_step_off_and_no_more(parts):
    exact, step, two, nan, missing = parts[0][1][13:18]
    assert exact == "0.0"
    assert step == "0.00390625"
    assert two.startswith("SelfTestException: class 0 expected 0.25")
    assert nan.startswith("SelfTestException: class 0 expected 0.25, received NaN")
    assert missing == "SelfTestException: class 2 expected; there are 2"


def test_model_is_taken_by_its_digest_alone(parts):
    other, right = parts[0][1][18:20]
    assert other.startswith(
        "SelfTestException: models/int8.tflite: not the contract's sha256 (found ba7816"
    )
    assert right == "kotlin.Unit"


def test_damaged_contracts_are_refused_in_one_line(parts):
    (_, lines, *_), contract = parts
    expected = [said for _, said in damaged(contract)]
    assert len(lines[20:]) == len(expected)
    for line, said in zip(lines[20:], expected, strict=True):
        assert said in line
        assert "Exception: " in line


def test_screen_follows_fingers_and_memory_as_worked_out_by_hand(parts):
    assert parts[0][2] == [
        # 400x300: the middle 300x300.
        "50.0 0.0 300.0, 50 0 300 300",
        # A tenth of a side to the right, and down against the edge.
        "20.0 0.0 300.0",
        "100.0 0.0 300.0",
        # Twice as large about the lower left corner.
        "50.0 150.0 150.0",
        "50.0 0.0 300.0",
        # Never below 32 pixels: 50 + (300 - 32) / 2, (300 - 32) / 2.
        "184.0 134.0 32.0",
        "[true, true, true, true]",
        "300.0 0.0 100.0",
        "50.0 0.0 300.0",
        "0 4 1 1",
        "301 0 100 100",
        # 2**27 / 8 / 14; the least; the most.
        "[1198372, 65536, 8388608]",
        # 750x563 is the first below a million at 16; the last is over it by rounding.
        "[16, 1, 1, 4]",
        "IllegalArgumentException: not a picture that this device can read",
        "[320x240, 640x480, 1920x1080, 1920x1080]",
        "[6, 1, 8, 3]",
        "[8, 1, 6, 3]",
        "IllegalArgumentException: cameras are turned by right angles; received 45",
        "[9.0, 5.0, 5.0, 5.0]",
        "true",
        "null",
        "true",
        "[null, null, null, null, null, null, null]",
        "[ffff0001, ff020304]",
        "IllegalArgumentException: plane Y of 4x4 with strides 4 and 1 needs 16 bytes; "
        "received 15",
        "0 outside",
    ]


def test_saved_square_is_the_saved_pictures_at_every_moment(parts):
    assert parts[0][3] == [
        "a 10.0 20.0 100.0 int8 2",
        "a 10.0 20.0 100.0 int8 2",
        "10.0 20.0 100.0, null",
        "a 0.0 20.0 100.0 int8 2",
        "b null float32 1",
        "[null, false]",
        "50.0 0.0 300.0",
        "true",
        "b 10.0 20.0 100.0 float32 1",
        "null null  4",
    ]


def test_bundle_of_the_host_passes_in_kotlin(parts):
    said, variant, *golden = parts[0][4]
    assert said == f"colours [{', '.join(LABELS)}]"
    assert variant == "float32 true kotlin.Unit"
    assert len(golden) >= 4
    assert set(golden) == {"kotlin.Unit kotlin.Unit [float32]"}
