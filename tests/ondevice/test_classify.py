import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgedeploy.ondevice
from edgedeploy.ondevice.classify import Classifier, main
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.delivered import BundleError
from edgedeploy.ondevice.pictures import PictureError


@pytest.fixture
def picture(tiny_bundle):
    return tiny_bundle / "golden/1.png"


def expected(bundle, recipe="int8"):
    document = json.loads((bundle / "contract.json").read_text())
    return document["golden"][0]["expected"][recipe]["top_k"]


def test_answer_is_that_of_the_golden_vector(tiny_bundle, picture):
    (guesses,) = Classifier(tiny_bundle).predict([picture])
    assert [[g.index, g.score] for g in guesses] == expected(tiny_bundle)
    assert guesses[0].label == f"class {guesses[0].index}"


def test_path_bytes_and_array_give_the_same_answer(tiny_bundle, picture):
    array = np.asarray(Image.open(picture).convert("RGB"))
    answers = Classifier(tiny_bundle, "float32").predict(
        [picture, str(picture), picture.read_bytes(), array], top=2
    )
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert len(answers[0]) == 2


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_array_of_another_kind_is_refused(tiny_bundle, array):
    with pytest.raises(PictureError):
        Classifier(tiny_bundle).predict([array])


def test_altered_model_is_refused_before_it_is_loaded(tiny_bundle):
    model = tiny_bundle / "models/int8.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    with pytest.raises(BundleError, match="not the model"):
        Classifier(tiny_bundle)


def test_top_below_one_is_refused(tiny_bundle, picture):
    with pytest.raises(ContractError, match="top"):
        Classifier(tiny_bundle).classify(picture, 0)


def test_folder_prints_json_lines_in_order(tiny_bundle, capsys):
    code = main(["--folder", str(tiny_bundle), "--json", str(tiny_bundle / "golden")])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert [Path(line["file"]).name for line in lines] == [f"{n}.png" for n in "1234"]
    first = [[g["index"], g["score"]] for g in lines[0]["top"]]
    assert first == expected(tiny_bundle)[:3]


def test_unreadable_picture_costs_one_line_and_exit_1(tiny_bundle, picture, capsys):
    bad = tiny_bundle / "bad.jpg"
    bad.write_bytes(b"no picture")
    missing, empty = tiny_bundle / "missing.png", tiny_bundle / "empty"
    empty.mkdir()
    paths = [str(path) for path in (bad, missing, empty, picture)]
    assert main(["--folder", str(tiny_bundle), *paths]) == 1
    output = capsys.readouterr()
    assert len(output.err.splitlines()) == 3
    assert output.out.startswith(f"{picture}: class ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--top", "0", "x"],
        ["--top", "many", "x"],
        ["--threads", "-1", "x"],
        ["--runtime", "y", "x"],
        ["--no-such", "x"],
    ],
)
def test_wrong_argument_exits_2(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_wrong_folder_or_variant_exits_2_and_a_damaged_bundle_1(tiny_bundle, tmp_path):
    assert main(["--folder", str(tmp_path / "none"), "x"]) == 2
    assert main(["--folder", str(tiny_bundle), "--variant", "int4", "x"]) == 2
    (tiny_bundle / "contract.json").write_text("{}")
    assert main(["--folder", str(tiny_bundle), "x"]) == 1


def test_runs_as_ondevice_without_edgedeploy(tiny_bundle, tmp_path):
    shutil.copytree(Path(edgedeploy.ondevice.__file__).parent, tiny_bundle / "ondevice")
    odd = os.fsencode(tmp_path) + b"/odd\xff\n.png"
    shutil.copy(tiny_bundle / "golden/1.png", odd)
    done = subprocess.run(
        [sys.executable, "-m", "ondevice.classify", odd],
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        cwd=tiny_bundle,
        capture_output=True,
        check=True,
    )
    assert done.stdout.count(b"\n") == 1
    assert b"odd\\udcff\\n.png: class " in done.stdout
