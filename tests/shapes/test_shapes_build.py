"""A whole build of a model that takes many sizes, from its TOML to its bundles."""

import json
import tarfile

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TABLE = '\n[input]\nshape = "enumerated"\nsizes = [[32, 32], [48, 40], [64, 64]]\n'


@pytest.fixture(scope="module")
def built(project_texts, tmp_path_factory):
    project = project_texts.new_project(tmp_path_factory.mktemp("sizes") / "project")
    toml = project.root / "tiny.toml"
    toml.write_text(
        project_texts.TOML.replace("\n[[weights]]", f"{TABLE}\n[[weights]]")
    )
    done = project.build()
    assert done.returncode == 0, done.stderr
    return project


def test_one_file_a_recipe_is_delivered_with_its_sizes(built):
    with tarfile.open(built.bundle()) as bundle:
        models = [name for name in bundle.getnames() if name.endswith(".tflite")]
        contract = json.load(
            bundle.extractfile(next(n for n in bundle.getnames() if "contract.js" in n))
        )
    assert len(models) == len(contract["variants"]) == 2
    assert contract["shapes"]["sizes"] == [[32, 32], [48, 40], [64, 64]]


def test_every_size_is_checked_and_timed(built):
    measured = built.read("measured.json")["shapes"]
    assert measured == built.read("shapes.json")
    for row in measured["variants"].values():
        assert set(row["checked"]) == set(row["sizes"]) == {"32x32", "48x40", "64x64"}
        assert all(one["difference"] == 0 for one in row["checked"].values())
        assert all(one["peak_rss_bytes"] > 0 for one in row["sizes"].values())
    assert "Sizes of picture" in (built.folder / "report.html").read_text()


def test_a_second_build_does_nothing_and_other_sizes_convert_anew(built):
    assert built.ran() == []
    ran = built.ran("--shapes", "32x32,40x40")
    assert "convert int8" in ran
    assert "check sizes of int8" in ran


def test_a_network_that_only_seems_to_take_sizes_is_refused(built):
    done = built.build("--shapes", "32x32,4x4")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "pictures of 4x4 are too small: layer conv2d" in line
