import zipfile

import pytest

from edgedeploy.adopt.kinds import is_model_path, kind_of
from edgedeploy.adopt.settle import model_name
from edgedeploy.errors import InputError


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("inception_v3", False),
        ("shapes.toml", False),
        ("folder/shapes.toml", False),
        ("net.keras", True),
        ("net.H5", True),
        ("net.pth", True),
        ("folder/net", True),
    ],
)
def test_model_files_are_told_from_names(word, expected):
    assert is_model_path(word) is expected


def test_folder_does_not_hide_a_model_of_the_catalogue(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("inception_v3", "net"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "photos").mkdir()
    assert not is_model_path("inception_v3")
    assert is_model_path("./inception_v3")
    assert is_model_path("net")
    assert not is_model_path("photos")


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("net.keras", "keras_file"),
        ("net.hdf5", "keras_file"),
        ("NET.TFLITE", "tflite_file"),
        ("net.onnx", "onnx_file"),
        ("net.pt2", "torch_file"),
    ],
)
def test_suffix_tells_the_kind(tmp_path, name, architecture):
    (tmp_path / name).touch()
    assert kind_of(tmp_path / name).architecture == architecture


def test_saved_model_is_a_folder_with_its_graph(tmp_path):
    with pytest.raises(InputError, match=r"without saved_model\.pb"):
        kind_of(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    assert kind_of(tmp_path).architecture == "saved_model"


def test_torchscript_is_refused_with_the_way(tmp_path):
    path = tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/code/__torch__.py", "")
    with pytest.raises(InputError, match=r"TorchScript.*torch\.export\.save"):
        kind_of(path)


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors", "net.ckpt"])
def test_bare_weights_are_refused_with_the_way(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(InputError, match=r"neither holds the .*torch\.export\.save"):
        kind_of(tmp_path / name)


@pytest.mark.parametrize("name", ["net.pb", "net", "net.mlmodel"])
def test_other_files_name_what_is_taken(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"expected one of \.toml, \.keras"):
        kind_of(tmp_path / name)


def test_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        kind_of(tmp_path / "gone.keras")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("My Net (v2).keras", "my_net_v2"),
        ("001", "model_001"),
        ("Ünïcode.onnx", "n_code"),
        ("日本.tflite", "model"),
    ],
)
def test_file_names_become_model_names(tmp_path, name, expected):
    assert model_name(tmp_path / name) == expected
