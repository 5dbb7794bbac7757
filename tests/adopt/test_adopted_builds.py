"""A user's own model file goes from the file to verified bundles."""

import json
import shutil
import subprocess

import pytest

from edgedeploy.environments.install import find
from edgedeploy.environments.table import ENVIRONMENTS

FLAGS = ("--labels", "labels.txt", "--images", "pictures", "--python", "3.11")


def build(project, model, *flags):
    """Build, check what every build has to give, and return its evaluation."""
    done = project.run(
        "build", "--model", model, *FLAGS, "--point-estimate", "--json", *flags
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert len(answer["deliverables"]) >= 3
    assert answer["verification"]
    folder = project.root / "build" / answer["model"]
    verification = json.loads((folder / "measured.json").read_text())["verification"]
    failed = [one for one in verification["checks"] if one["passed"] is False]
    assert failed == []
    return json.loads((folder / "evaluation.json").read_text())


@pytest.mark.slow
def test_tflite_without_metadata_or_softmax(project, own, call):
    evaluation = build(project, own("logits.tflite"), "--recipes", "dynamic_int8")
    cards = evaluation["variants"]
    # The colours are far apart: whoever reads the file rightly knows them all.
    assert [cards[name]["top1"] for name in cards] == [1.0, 1.0]
    assert cards["dynamic_int8"]["mean_kl"] < 0.01
    text = (project.root / "logits.toml").read_text(encoding="utf-8")
    assert 'outputs = "logits"' in text
    # The second run takes the TOML that the first one wrote.
    flags = (*FLAGS, "--point-estimate", "--json", "--recipes", "dynamic_int8")
    _, out, err = call(project, "build", "--model", "logits.tflite", *flags)
    assert json.loads(out)["ran"] == [], err


@pytest.mark.slow
def test_quantised_tflite_is_taken_as_it_is(project, own):
    evaluation = build(project, own("int8.tflite"))
    assert evaluation["reference"] == "as_is"
    (card,) = evaluation["variants"].values()
    assert card["top1"] == 1.0
    assert card["top1_drop"] is card["agreement_top1"] is card["mean_kl"] is None
    nulls = {key for key, value in card.items() if value is None}
    assert nulls <= set(evaluation["unmeasured"])
    assert "float32 network is not here" in evaluation["unmeasured"]["mean_kl"]
    selection = json.loads(
        (project.root / "build" / "int8" / "selection.json").read_text()
    )
    assert (selection["choice"], selection["gate"]) == ("as_is", "smoke")
    page = (project.root / "build" / "int8" / "report.html").read_text(encoding="utf-8")
    assert "as_is was taken: the file was quantised elsewhere" in page


def test_quantised_tflite_cannot_be_quantised_again(project, own, refused):
    model = own("int8.tflite")
    line = refused(project, "build", "--model", model, *FLAGS, "--recipes", "float16")
    assert "float16 cannot be made of it" in line


def test_as_is_is_for_files_that_were_quantised(project, refused):
    flags = ("--model", "tiny.toml", "--recipes", "as_is")
    assert "quantised elsewhere" in refused(project, "build", *flags)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wide.keras", "wide.h5", "wide_export"])
def test_keras_of_another_input_size(project, own, name):
    evaluation = build(project, own(name), "--recipes", "int8")
    assert evaluation["pipeline"]["width"] == 40
    assert evaluation["variants"]["int8"]["top1"] == 1.0


@pytest.mark.slow
def test_float_tflite_takes_every_recipe(project, own):
    recipes = "float16,dynamic_int8,int8,int16x8,int4_mixed"
    evaluation = build(project, own("plain.tflite"), "--recipes", recipes)
    assert list(evaluation["variants"]) == ["float32", *recipes.split(",")]
    assert {card["top1"] for card in evaluation["variants"].values()} == {1.0}


@pytest.fixture
def with_environments(project, environments):
    """The project, with a cache that has the converters' environments."""
    cache = project.home / "cache" / "environments"
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.symlink_to(environments)
    return project


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("kind", "name"), [("onnx", "net.onnx"), ("torch", "net.pt2")])
def test_other_frameworks(with_environments, foreign_network, kind, name):
    project = with_environments
    shutil.copy(foreign_network(kind), project.root / name)
    evaluation = build(project, name, "--recipes", "dynamic_int8,int8")
    cards = evaluation["variants"]
    assert {card["top1"] for card in cards.values()} == {1.0}
    text = (project.root / "net.toml").read_text(encoding="utf-8")
    assert "Assumed: imagenet" in text
    assert 'outputs = "logits"' in text


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1800)
def test_onnx_with_weights_in_other_files_is_refused_with_the_way(
    with_environments, foreign_network
):
    project, whole = with_environments, foreign_network("onnx")
    split = (
        "import onnx, sys; onnx.save(onnx.load(sys.argv[1]), sys.argv[2], "
        "save_as_external_data=True, location='net.data', size_threshold=0)"
    )
    python = find(ENVIRONMENTS["onnx"]).python
    out = project.root / "net.onnx"
    subprocess.run([python, "-c", split, whole, out], check=True)
    done = project.run("init", "--path", "net.onnx")
    assert done.returncode == 1
    assert "save it in one file" in done.stderr
