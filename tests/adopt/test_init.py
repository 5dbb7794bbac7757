"""`init`, and what `build` does with a model file before it builds."""

import json

import pytest


def test_init_writes_what_the_file_says_and_names_what_it_assumes(project, own, call):
    (project.root / "own.txt").write_bytes(
        "\ufeffred\r\ncrane\r\ncrane\r\ngrey\r\n\r\n".encode()
    )
    model = own("plain.tflite")
    code, out, err = call(
        project, "init", "--path", model, "--labels", "own.txt", "--json"
    )
    assert code == 0, err
    answer = json.loads(out)
    assert (answer["model"], answer["classes"]) == ("plain", 4)
    assert answer["pipeline"]["width"] == 40
    assert answer["pipeline"]["height"] == 24
    assert answer["pipeline"]["mean"] == [127.5] * 3
    assert any("'crane (2)' (line 3)" in line for line in answer["warnings"])
    assert any("pipeline.detect" in line for line in answer["warnings"])
    labels = (project.root / "plain.classes.txt").read_text(encoding="utf-8")
    assert labels.split("\n") == ["red", "crane", "crane (2)", "grey", ""]


@pytest.mark.slow
def test_init_sees_the_rescaling_inside_a_keras_file(project, own, call):
    code, out, err = call(project, "init", "--path", own("wide.keras"), "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer["pipeline"]["mean"] == [0.0] * 3
    assert answer["pipeline"]["std"] == [1.0] * 3
    assert answer["outputs"] == "probabilities"


def test_folders_of_the_pictures_name_the_classes(project, own, call):
    model = own("plain.tflite")
    code, _, err = call(project, "init", "--path", model, "--images", "pictures")
    assert code == 0, err
    labels = (project.root / "plain.classes.txt").read_text(encoding="utf-8")
    assert labels.split() == ["blue", "green", "grey", "red"]


def test_toml_of_another_file_is_never_overwritten(project, own, call, refused):
    model = own("plain.tflite")
    assert call(project, "init", "--path", model)[0] == 0
    toml = project.root / "plain.toml"
    toml.write_text(toml.read_text().replace("plain.tflite", "other.tflite"))
    before = toml.read_bytes()
    assert "speaks of another file" in refused(project, "init", "--path", model)
    assert toml.read_bytes() == before


def test_other_labels_than_the_tomls_are_refused(project, own, call, refused):
    model = own("plain.tflite")
    assert call(project, "init", "--path", model, "--labels", "labels.txt")[0] == 0
    (project.root / "more.txt").write_text("a\nb\nc\nd\n")
    line = refused(project, "build", "--model", model, "--labels", "more.txt")
    assert "has other labels than" in line


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--path", "gone.keras"), "no such file"),
        (("--path", ""), "init takes --path"),
        (("--path", "tiny.toml"), "init takes --path"),
    ],
)
def test_init_refuses_what_is_no_model_file(project, refused, flags, words):
    assert words in refused(project, "init", *flags)


def test_labels_go_with_model_files_alone(project, refused):
    flags = ("--model", "tiny.toml", "--labels", "labels.txt")
    assert "--labels goes with a model file" in refused(project, "build", *flags)


def test_trust_is_for_files_with_code(project, own, call, refused):
    model = own("plain.tflite")
    assert call(project, "init", "--path", model)[0] == 0
    line = refused(project, "build", "--model", "plain.toml", "--trust")
    assert "--trust is for" in line


@pytest.mark.parametrize("name", ["plain.tflite", "a.onnx", "a.pt2"])
def test_trust_is_not_taken_for_a_graph_without_code(project, own, refused, name):
    if name == "plain.tflite":
        own(name)
    else:
        (project.root / name).write_bytes(b"anything")
    assert "--trust is for" in refused(project, "init", "--path", name, "--trust")
    assert not (project.root / name).with_suffix(".toml").exists()


def test_second_init_says_what_was_kept_and_for_which_file(project, own, call):
    model = own("plain.tflite")
    assert call(project, "init", "--path", model)[0] == 0
    code, out, err = call(project, "init", "--path", model)
    assert code == 0
    assert f"was kept; it takes {model}" in " ".join((out + err).split())


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_truncated_tflite_is_bad_input_that_is_named(project, own, refused, share):
    path = project.root / own("plain.tflite")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    # `refused` insists on exit code 2.
    assert "plain.tflite" in refused(project, "init", "--path", path.name)


@pytest.mark.slow
def test_truncated_keras_file_is_bad_input(project, own, refused):
    path = project.root / own("wide.keras")
    path.write_bytes(path.read_bytes()[:3000])
    assert "not a .keras file" in refused(project, "init", "--path", path.name)


def test_toml_cannot_give_trust_to_itself(project, refused):
    toml = project.root / "tiny.toml"
    text = toml.read_text().replace('layout = "keras"', 'layout = "keras+trusted"')
    toml.write_text(text)
    assert "give --trust" in refused(project, "build", "--model", "tiny.toml")


@pytest.mark.parametrize(("name", "kind"), [("a.onnx", "onnx"), ("a.pt2", "torch")])
def test_missing_environment_says_its_price_and_the_way(project, refused, name, kind):
    (project.root / name).write_bytes(b"anything")
    line = refused(project, "build", "--model", name)
    assert f"inv doctor --install {kind}" in line
    assert "GB to download" in line
