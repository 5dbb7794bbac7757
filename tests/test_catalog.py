import importlib
import re
from pathlib import Path

import pytest

from edgedeploy.architectures import MODULES
from edgedeploy.catalog import model_names, model_specs, read_model_file
from edgedeploy.errors import InputError
from edgedeploy.resources import resource_folder
from edgedeploy.specs import FileSource, HttpsSource, NpmSource, PypiSource

ROWS = [
    pytest.param(spec, id=f"{spec.name}-{spec.weights}")
    for name in model_names()
    for spec in model_specs(name)
]

MODEL = """
schema = 1
name = "pets"
title = "Pets"
architecture = "keras_file"

[[weights]]
name = "mine"
summary = "two pets"
layout = "keras"
labels = "pets.txt"
label_set = "pets"
{weights}

[weights.source]
{source}

[weights.pipeline]
{pipeline}

[weights.licence]
{licence}
"""
PARTS = {
    "weights": "",
    "source": 'kind = "file"\npath = "weights/w.keras"',
    "pipeline": "width = 8\nheight = 8",
    "licence": (
        'spdx = "CC0-1.0"\nholder = "me"\nnotice = "n"\ntext = "terms.txt"\n'
        'homepage = "h"'
    ),
}


@pytest.fixture
def model(tmp_path):
    """Write a user's own model, with parts of it replaced."""
    (tmp_path / "pets.txt").write_text("cat\ndog\n")
    (tmp_path / "terms.txt").write_text("Free.\n")

    def write(replace=("", ""), **parts) -> Path:
        text = MODEL.format(**{**PARTS, **parts})
        assert replace[0] in text
        path = tmp_path / "pets.toml"
        path.write_text(text.replace(*replace), encoding="utf-8")
        return path

    return write


# Every row of the table


def test_there_are_models():
    assert "inception_v3" in model_names()
    assert list(model_names()) == sorted(model_names())


def test_file_is_named_as_the_model():
    for name in model_names():
        assert {spec.name for spec in model_specs(name)} == {name}


def test_weights_of_a_model_have_different_names():
    for name in model_names():
        names = [spec.weights for spec in model_specs(name)]
        assert len(set(names)) == len(names)
        # These words mean something else to --weights.
        assert not {"auto", ""} & set(names)


@pytest.mark.parametrize("spec", ROWS)
def test_network_reads_the_layout(spec):
    module = importlib.import_module(MODULES[spec.architecture])
    assert spec.layout in module.LAYOUTS
    assert callable(module.build)


@pytest.mark.parametrize("spec", ROWS)
def test_labels_are_unique_and_clean(spec):
    for names in (spec.labels, spec.label_ids):
        assert len(set(names)) == len(names)
        assert all(name == name.strip() and name for name in names)
    if spec.label_set == "imagenet":
        assert len(spec.labels) == len(spec.label_ids) == 1000
        # The synset ids of the task's first, second and last class.
        assert spec.label_ids[:2] == ("n01440764", "n01443537")
        assert spec.label_ids[-1] == "n15075141"
        assert list(spec.label_ids) == sorted(spec.label_ids)
        assert (spec.labels[0], spec.labels[1]) == ("tench", "goldfish")


@pytest.mark.parametrize("spec", ROWS)
def test_sample_pictures_have_labels_of_the_model(spec):
    from edgedeploy.images.datasets import read_dataset

    for role in ("calibration", "evaluation"):
        dataset = read_dataset(
            resource_folder("models") / "samples" / role,
            spec.labels,
            spec.label_ids,
            column=spec.label_set,
        )
        # Enough to measure; calibration needs no labels at all.
        assert dataset.labelled >= 16


@pytest.mark.parametrize("spec", ROWS)
def test_source_is_pinned(spec):
    source = spec.source
    if isinstance(source, HttpsSource):
        assert source.url.startswith("https://")
        assert source.url.endswith("/" + source.filename)
        assert re.fullmatch(r"[0-9a-f]{32}", source.md5 or "0" * 32)
        assert re.fullmatch(r"[0-9a-f]{64}", source.sha256 or "0" * 64)
        assert re.fullmatch(r"EDGEDEPLOY_MIRROR_[A-Z]+", source.mirror_variable)
    elif isinstance(source, PypiSource):
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", source.requirement)
        assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
    else:
        assert isinstance(source, NpmSource), "a shipped model comes from a registry"
        assert re.fullmatch(r"[a-z0-9-]+@[0-9.]+", source.package)
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", source.integrity)
    if not isinstance(source, HttpsSource):
        assert not Path(source.member).is_absolute()
        assert ".." not in Path(source.member).parts


@pytest.mark.parametrize("spec", ROWS)
def test_licence_travels_in_full(spec):
    licence = spec.licence
    opening = {"Apache-2.0": "Apache License", "MIT": "MIT License"}[licence.spdx]
    assert opening in licence.text[:500]
    assert len(licence.text) > 1000
    assert licence.holder
    assert licence.notice
    assert licence.homepage.startswith("https://")


@pytest.mark.parametrize("spec", ROWS)
def test_words_for_people_are_there(spec):
    assert spec.title
    assert spec.summary
    assert spec.published_top1 is None or 0.5 < spec.published_top1 < 0.95


# A user's own model


def test_own_model_is_read_with_files_beside_it(model, tmp_path, monkeypatch):
    path = model(pipeline="width = 8\nheight = 6\nmean = [1, 2, 3]")
    monkeypatch.chdir("/")
    (spec,) = model_specs(str(path))
    assert spec.labels == ("cat", "dog")
    assert spec.licence.text == "Free.\n"
    assert spec.source == FileSource(path=str(tmp_path / "weights" / "w.keras"))
    assert (spec.pipeline.width, spec.pipeline.height) == (8, 6)
    assert spec.pipeline.mean == (1.0, 2.0, 3.0)


def test_labels_of_a_windows_editor_are_read(model, tmp_path):
    path = model()
    (tmp_path / "pets.txt").write_bytes(b"\xef\xbb\xbfcat\r\nd\xc3\xb6g\r\n\r\n")
    assert model_specs(str(path))[0].labels == ("cat", "dög")


def test_table_of_a_windows_editor_is_read(model):
    path = model()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert model_specs(str(path))[0].name == "pets"


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"replace": ("schema = 1", "schema = 2")}, "schema must be 1; received 2"),
        ({"replace": ("schema = 1", "")}, "schema must be 1; received None"),
        ({"replace": ('name = "pets"', "")}, "name is missing"),
        ({"replace": ('name = "pets"', "name = 5")}, "name must be text; received 5"),
        ({"replace": ('"pets"', '"../../x"')}, "a model's name takes"),
        ({"replace": ('title = "Pets"', "title = 5")}, "title must be text"),
        ({"replace": ('title = "Pets"', 'title = " "')}, "title must be text"),
        ({"replace": ("[[weights]]", "[weights]")}, r"at least one table \[\[weights"),
        ({"replace": ('"pets.txt"', '"other.txt"')}, "other.txt: cannot be read"),
        ({"replace": ('"pets.txt"', '"a\\u0000b"')}, "cannot be read"),
        ({"replace": ('"pets.txt"', "5")}, "wrong field"),
        ({"replace": ('"terms.txt"', '"."')}, "cannot be read"),
        ({"replace": ('layout = "keras"', "")}, "layout is missing"),
        ({"weights": 'label_ids = "pets.toml"'}, "label ids"),
        ({"weights": "published_top1 = 77.9"}, "published_top1 is a fraction"),
        ({"source": 'kind = "ftp"'}, "source kind must be one of https, pypi"),
        ({"source": "kind = 5"}, "kind must be text"),
        ({"source": 'path = "x"'}, "kind is missing"),
        ({"source": 'kind = "file"'}, "path is missing"),
        ({"source": 'kind = "file"\npath = "x"\nmore = "y"'}, "wrong field"),
        ({"source": 'kind = "npm"\npackage = 5'}, "package must be text"),
        ({"pipeline": "width = 8"}, "pipeline needs height"),
        ({"pipeline": "width = 8\nheight = 0"}, "height must be 1 to 8192"),
        ({"pipeline": 'width = 8\nheight = 8\nkernal = "box"'}, "no field kernal"),
        ({"pipeline": "width = 8\nheight = 8\nstd = [0, 1, 1]"}, "std must be"),
        ({"licence": 'spdx = "MIT"'}, "text is missing"),
        ({"licence": 'text = "terms.txt"'}, "wrong field .*spdx"),
        ({"licence": "text = 5"}, "text must be text"),
    ],
)
def test_wrong_value_is_one_error_with_the_files_name(model, parts, complaint):
    path = model(**parts)
    with pytest.raises(InputError, match=complaint) as caught:
        read_model_file(path)
    assert str(path.parent) in str(caught.value)


@pytest.mark.parametrize(
    "tail",
    [
        "weights = []\n",
        'weights = "x"\n',
        "weights = 5\n",
        "weights = [5]\n",
        'weights = ["x"]\n',
        '[[weights]]\nlicence = "MIT"\n',
        '[[weights]]\nlicence = {text = "terms.txt"}\nname = "a"\nsummary = "a"\n'
        'layout = "a"\nsource = "x"\n',
        "weights = " + "[" * 5000 + "]" * 5000,
    ],
)
def test_wrong_shape_is_one_error(model, tail):
    path = model()
    head = 'schema = 1\nname = "pets"\ntitle = "P"\narchitecture = "keras_file"\n'
    path.write_text(head + tail)
    with pytest.raises(InputError, match=r"pets\.toml: ") as caught:
        read_model_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"schema = ", b"\xff\xfe", b"\x00" * 50])
def test_file_that_is_no_table_is_one_error(tmp_path, content):
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.toml: (not valid TOML|schema must be)"):
        read_model_file(path)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("inception", "no model 'inception' in the catalogue; there are eff"),
        ("", "no model ''"),
        ("../models/inception_v3", "no model"),
        ("nowhere.toml", "nowhere.toml: cannot be read"),
        ("a\0b.toml", "not valid TOML"),
    ],
)
def test_unknown_model_is_one_error(name, complaint):
    with pytest.raises(InputError, match=complaint):
        model_specs(name)
