"""Two .tflite files against each other, from the command line's side."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from commands import run_here
from PIL import Image

from edgedeploy.compare import Limits, read_side
from edgedeploy.compare.structure import compare_structure
from edgedeploy.errors import InputError


def run(capsys, *flags):
    """Give the exit code, the JSON on stdout and the line on stderr."""
    code, out, err = run_here(capsys, "compare", *flags, "--json")
    return code, json.loads(out) if out else None, err


def by_name(value):
    return {finding["name"]: finding for finding in value["findings"]}


@pytest.fixture(scope="module")
def quantised(tiny_models, tmp_path_factory):
    """What replacing float32 by int8 comes to, and its JUnit file."""
    junit = tmp_path_factory.mktemp("junit") / "compare.xml"
    return tiny_models["float32"], tiny_models["int8"], junit


def test_a_file_against_itself_passes_and_is_not_timed(tiny_models, capsys):
    path = tiny_models["int8"]
    code, value, _ = run(capsys, "--old", path, "--new", path)
    found = by_name(value)
    assert (code, value["passed"]) == (0, True)
    assert found["latency"]["detail"] == "the same bytes"
    assert found["size"]["change"] == 0
    # A single file has no contract, but the same bytes give the same answers.
    assert found["contract"]["passed"] is None
    for name in ("top1", "agreement"):
        assert (found[name]["passed"], found[name]["change"]) == (True, 0)


def test_what_is_required_and_was_not_measured_fails(tiny_models, tmp_path, capsys):
    junit = tmp_path / "compare.xml"
    path = tiny_models["int8"]
    flags = ("--old", path, "--new", path, "--junit", junit)
    code, value, err = run(capsys, *flags, "--require", "top1, contract")
    assert code == 1
    assert "worse than" in err
    assert value["limits"]["require"] == ["top1", "contract"]
    found = by_name(value)
    assert found["top1"]["passed"] is True
    assert found["contract"]["passed"] is False
    assert found["contract"]["detail"].startswith("required, but not measured: ")
    cases = ElementTree.parse(junit).getroot().iter("testcase")
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    assert failed == ["contract"]


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        ((), "give --model"),
        (("--model", "nope"), "nope"),
        (("--model", "efficientnet_lite0"), "1000 labels"),
        (("--labels", "labels.txt"), "--labels goes with a model file"),
    ],
)
def test_pictures_of_files_need_the_model_that_fits(
    flags, part, tiny_models, tmp_path, capsys
):
    rng = np.random.default_rng(5)
    Image.fromarray(rng.integers(0, 255, (9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    both = ("--old", tiny_models["float32"], "--new", tiny_models["int8"])
    code, value, err = run(capsys, *both, "--images", tmp_path, *flags)
    assert (code, value) == (2, None)
    assert part in err


def test_other_tensors_and_a_newer_runtime_fail_and_can_be_accepted(quantised, capsys):
    old, new, junit = quantised
    flags = ("--old", new, "--new", old, "--max-slowdown", 100, "--junit", junit)
    code, value, err = run(capsys, *flags)
    found = by_name(value)
    assert code == 1
    assert "tensors" in err
    assert found["tensors"]["old"].startswith("uint8")
    assert found["tensors"]["new"].startswith("float32")
    # 12 x 12 pixels and their weights: float32 takes more than int8 here.
    grown = old.stat().st_size / new.stat().st_size - 1
    assert found["size"]["change"] == pytest.approx(grown)
    assert found["size"]["passed"] is (grown <= 0.05)
    suite = ElementTree.parse(junit).getroot()
    failed = [case.get("name") for case in suite.iter("testcase") if len(case)]
    assert len(failed) == len(value["findings"])
    assert int(suite.get("failures")) == len(list(suite.iter("failure"))) > 0
    assert int(suite.get("skipped")) == len(list(suite.iter("skipped"))) == 4
    names = ",".join(
        finding["name"] for finding in value["findings"] if finding["passed"] is False
    )
    code, value, _ = run(capsys, *flags, "--accept", names)
    assert (code, value["passed"]) == (0, True)
    assert by_name(value)["tensors"]["accepted"]


def test_a_far_slower_file_fails_and_the_change_points_its_way(
    tmp_path, monkeypatch, capsys
):
    import hand_made_models as hand_made

    old, new = tmp_path / "light.tflite", tmp_path / "heavy.tflite"
    old.write_bytes(hand_made.serialise(hand_made.make_model()))
    # Forty million multiplications more: hundreds of times the light one's work.
    new.write_bytes(hand_made.serialise(hand_made.make_model(hidden=(1600,) * 16)))
    monkeypatch.setattr("edgedeploy.compare.latency.SECONDS", 0.5)
    code, value, err = run(capsys, "--old", old, "--new", new)
    latency = by_name(value)["latency"]
    assert code == 1
    assert "latency" in err
    assert latency["passed"] is False
    low, high = latency["change_ci95"]
    assert 2 < low <= latency["change"] <= high
    assert "rounds in turns" in latency["detail"]


def test_added_operator_version_and_custom_operator_are_told_apart(write_pair):
    old, new = write_pair("NobodyHasThis")
    found = {one.name: one for one in compare_structure(old, new, Limits())}
    assert found["operators"].passed is False
    assert "NobodyHasThis" in found["operators"].detail
    back = {one.name: one for one in compare_structure(new, old, Limits())}
    # Needing less of the app is no loss.
    assert back["operators"].passed is True


@pytest.fixture
def write_pair(tmp_path):
    import hand_made_models as hand_made

    def make(custom):
        paths = []
        for name, model in (
            ("old", hand_made.make_model()),
            ("new", hand_made.make_model(custom=custom)),
        ):
            paths.append(tmp_path / f"{name}.tflite")
            paths[-1].write_bytes(hand_made.serialise(model))
        return tuple(map(read_side, paths))

    return make


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--old", "absent.tflite"), "--new"),
        (("--old", "absent", "--new", "absent"), "no such build or file"),
        (("--old", "FILE", "--new", "empty.tflite"), "empty.tflite"),
        (("--old", "FILE", "--new", "."), "selection.json"),
        (("--old", "FILE", "--new", "FILE", "--accept", "weather"), "weather"),
        (("--old", "FILE", "--new", "FILE", "--require", "weather"), "weather"),
        (
            ("--old", "FILE", "--new", "FILE", "--accept", "top1", "--require", "top1"),
            "top1 cannot be required and accepted",
        ),
        (("--old", "FILE", "--new", "FILE", "--max-slowdown", "-1"), "max-slowdown"),
        (("--old", "FILE", "--new", "FILE", "--max-top1-drop", "2"), "max-top1-drop"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    flags, part, tiny_models, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.tflite").touch()
    words = [str(tiny_models["int8"]) if word == "FILE" else word for word in flags]
    code, value, err = run(capsys, *words)
    assert (code, value) == (2, None)
    assert part in err
    assert err.count("\n") == 1


def test_a_folder_of_builds_names_the_build_inside(tmp_path):
    inside = tmp_path / "build" / "mine"
    inside.mkdir(parents=True)
    (inside / "selection.json").write_text("{}")
    with pytest.raises(InputError, match=r"did you mean .*mine"):
        read_side(tmp_path / "build")


def test_pictures_need_labels_that_one_side_carries(tiny_models, tmp_path):
    from edgedeploy.compare.measured import measure_answers

    rng = np.random.default_rng(5)
    Image.fromarray(rng.integers(0, 255, (9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    side = read_side(tiny_models["float32"])
    with pytest.raises(InputError, match="neither side carries labels"):
        measure_answers(
            *(side, side, tmp_path, None),
            scratch=tmp_path,
            threads=1,
            runtime="auto",
            progress=lambda _done, _total: None,
        )
