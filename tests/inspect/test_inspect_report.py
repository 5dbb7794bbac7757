import contextlib
import io
import json
import os
import re

import pytest
from blocked_models import give_blocks, narrow_convolutions
from rich.console import Console

from edgedeploy.cli import main
from edgedeploy.errors import InputError
from edgedeploy.formats.metadata import embed
from edgedeploy.formats.operator_versions import newest, runtime_since
from edgedeploy.formats.tflite_layout import align_buffers
from edgedeploy.inspect import inspect_model
from edgedeploy.inspect.terminal import print_inspection


def shown(found):
    stream = io.StringIO()
    print_inspection(Console(file=stream, width=80), found)
    return stream.getvalue()


@pytest.fixture(scope="module")
def int8_report(tiny_models):
    return inspect_model(tiny_models["int8"])


def test_the_report_adds_up(int8_report, tiny_models):
    found = int8_report
    assert found["size_bytes"] == tiny_models["int8"].stat().st_size
    (image,) = found["inputs"]
    assert (image["dtype"], image["shape"]) == ("uint8", [1, 32, 32, 3])
    assert found["flexible"] == []
    operators = found["operators"]
    took = sum(op["xnnpack"]["taken"] for op in operators)
    left = sum(sum(op["xnnpack"]["left"].values()) for op in operators)
    assert took == found["xnnpack"]["taken"]
    assert took + left == found["xnnpack"]["operators"]
    assert sum(op["count"] for op in operators) == took + left
    reasons = {op["name"]: list(op["xnnpack"]["left"]) for op in operators}
    assert reasons["SOFTMAX"] == ["8-bit values; XNNPACK has it for float32 alone"]
    # 16 * 5 * 5 * 3 + 32 * 3 * 3 * 16 weights, and 7 times the flattened 2 * 2 * 32.
    assert found["weight_bytes"]["int8"] == 1200 + 4608 + 7 * 128
    assert json.loads(json.dumps(found)) == found


def test_4_bit_convolutions_are_left_for_a_known_reason(tiny_models, tmp_path):
    path = tmp_path / "narrow.tflite"
    path.write_bytes(narrow_convolutions(tiny_models["float32"].read_bytes()))
    left = {
        operator["name"]: operator["xnnpack"]["left"]
        for operator in inspect_model(path)["operators"]
    }
    reason = "float32 values with int4 weights; XNNPACK has FULLY_CONNECTED so"
    assert left["CONV_2D"] == {reason: 2}
    path.write_bytes(give_blocks(tiny_models["float32"].read_bytes()))
    found = inspect_model(path)
    assert found["xnnpack"]["taken"] == found["xnnpack"]["operators"]


def test_the_text_keeps_to_80_columns_and_shows_the_reasons(int8_report):
    text = shown(int8_report)
    assert max(len(line) for line in text.splitlines()) <= 80
    words = " ".join(text.split())
    assert "XNNPACK in litert" in words
    assert "uint8 1x32x32x3" in words


def test_metadata_and_associated_files_are_shown(tiny_models, tmp_path):
    path = tmp_path / "with.tflite"
    data = embed(
        align_buffers(tiny_models["float32"].read_bytes()),
        name="Seven",
        description="Seven classes.",
        version="1.2",
        author="nobody",
        licence="CC0-1.0",
        labels=[f"class {n}" for n in range(7)],
        mean=(127.5,) * 3,
        std=(127.5,) * 3,
    )
    path.write_bytes(data)
    found = inspect_model(path)
    assert found["metadata"]["tflite"]["name"] == "Seven"
    assert found["associated_files"] == ["labels.txt"]
    assert "7 labels: class 0, class 1, class 2, …" in shown(found)


def test_a_flexible_dimension_is_named(write_model, hand_made):
    found = inspect_model(write_model(hand_made.make_model()))
    assert found["flexible"] == [
        {"tensor": "image", "role": "input", "dimensions": [0]}
    ]
    assert "flexible: input image (dimension 0)" in shown(found)


def test_versions_of_the_runtime_come_from_the_operators(write_model, hand_made):
    found = inspect_model(write_model(hand_made.make_model()))
    # RESHAPE 1 came with 1.5.0 and FULLY_CONNECTED 2 with 1.10.0.
    assert found["min_runtime_version"] == {"declared": "1.14.0", "operators": "1.10.0"}
    assert runtime_since("CONV_2D", 9) is None
    assert newest(["1.5.0", "1.14.0", "1.9.0"]) == "1.14.0"


def test_a_custom_operator_is_listed_though_nothing_can_run_it(write_model, hand_made):
    found = inspect_model(write_model(hand_made.make_model(custom="Own")))
    assert ("Own", True) in [(op["name"], op["custom"]) for op in found["operators"]]
    assert found["xnnpack"] is None
    assert "Own" in found["unmeasured"]["xnnpack"]
    assert "not measured: xnnpack" in shown(found)


def test_escape_codes_in_names_do_not_reach_the_terminal(write_model, hand_made):
    model = hand_made.make_model()
    model.subgraphs[0].tensors[0].name = "\x1b[31mred\nline"
    text = shown(inspect_model(write_model(model)))
    assert "\x1b" not in text
    assert re.search(r"input: .\[31mred.line: float32", text)


@pytest.mark.parametrize("name", ["a.apk", "a.zip", "a.tar.gz", "a.aar", "a.DEB"])
def test_packages_are_sent_to_verify(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(InputError, match="inv verify --path"):
        inspect_model(tmp_path / name)


def test_a_pipe_a_folder_and_a_missing_file_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.tflite")
    for name in ("pipe.tflite", "", "missing.tflite", "nul\0.tflite"):
        with pytest.raises(InputError):
            inspect_model(tmp_path / name)


def refusal(arguments, capfd):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code, capfd.readouterr()


@pytest.mark.parametrize("cut", [0, 7, 64, 1000, 5000])
def test_a_truncated_model_gives_one_line_and_exit_code_2(
    tiny_models, tmp_path, capfd, cut
):
    path = tmp_path / "cut.tflite"
    path.write_bytes(tiny_models["int8"].read_bytes()[:cut])
    code, output = refusal(["inspect", "--path", str(path)], capfd)
    assert code == 2
    assert output.out == ""
    assert len(output.err.strip().splitlines()) == 1
    assert "not a sound .tflite file" in output.err


def test_flipped_bytes_never_end_in_a_traceback(tiny_models, tmp_path):
    whole = tiny_models["float32"].read_bytes()
    path = tmp_path / "flipped.tflite"
    read = 0
    # Spread over the tables and the weights; each goes through the real runtime.
    for at in range(40, len(whole), len(whole) // 8):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(InputError):
            found = inspect_model(path)
            read += 1
            assert found["xnnpack"] or found["unmeasured"]["xnnpack"]
    # Most bytes are weights, and any weights are a sound model.
    assert read >= 4


def test_json_is_alone_on_stdout(tiny_models, capfd):
    main(["inspect", "--path", str(tiny_models["float32"]), "--json"])
    found = json.loads(capfd.readouterr().out)
    assert found["schema"] == 1
    assert found["xnnpack"]["taken"] == found["xnnpack"]["operators"]


def test_no_path_says_what_is_missing(capfd):
    code, output = refusal(["inspect"], capfd)
    assert code == 2
    assert "--path a .tflite file" in output.err
