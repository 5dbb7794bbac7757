"""Bad pictures and bad model files: one line on stderr, exit code 2, no traceback."""

import shutil

import pytest
import tiny_project

MODEL = ("--model", "tiny.toml")
EVALUATE = (*MODEL, "--recipes", "float32,int8")


def evaluate(refused, project, *flags, code=2):
    return refused(project, "evaluate", *EVALUATE, *flags, code=code)


def test_fifteen_pictures_are_too_few(project, tiny, refused):
    few = project.root / "few"
    tiny.write_pictures(few, per_class=15, seed=99, labels=("red",))
    flags = ("--images", "pictures", "--calibration")
    line = evaluate(refused, project, *flags, "few")
    assert "at least 16" in line
    assert "15" in line
    line = evaluate(refused, project, "--images", "few", "--calibration", "pictures")
    assert "at least 16" in line


def test_too_few_to_split_names_the_numbers(project, tiny, refused):
    few = project.root / "few"
    tiny.write_pictures(few, per_class=31, labels=("red",))
    line = evaluate(refused, project, "--images", "few")
    assert "31" in line
    assert "--calibration" in line


def test_calibration_that_overlaps_evaluation_is_refused(project, refused):
    other = project.root / "other"
    shutil.copytree(project.root / "pictures" / "red", other / "red")
    shutil.copytree(project.root / "pictures" / "blue", other / "blue")
    line = evaluate(refused, project, "--images", "pictures", "--calibration", "other")
    assert "24 of 24 calibration pictures" in line
    assert "such as red/" in line or "such as blue/" in line


def test_pictures_of_one_colour_do_not_calibrate(project, refused):
    from PIL import Image

    flat = project.root / "flat"
    flat.mkdir()
    for shade in range(20):
        Image.new("RGB", (40, 40), (shade, shade, shade)).save(flat / f"{shade}.png")
    line = evaluate(refused, project, "--images", "pictures", "--calibration", "flat")
    assert "nearly one colour" in line


@pytest.mark.parametrize("files", [(), ("notes.txt",), (".hidden.png",)])
def test_folder_without_pictures_is_refused(project, refused, files):
    folder = project.root / "none"
    folder.mkdir()
    for name in files:
        (folder / name).write_bytes(b"x")
    assert "holds no pictures" in evaluate(refused, project, "--images", "none")


def test_misspelt_class_folder_is_refused(project, refused):
    (project.root / "pictures" / "red").rename(project.root / "pictures" / "rad")
    line = evaluate(refused, project, "--images", "pictures")
    assert "'rad'" in line


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"file\nred/00.png\n",
        b"file,label\nred/00.png,purple\n",
        b"file,label\nred/gone.png,red\n",
        b"file,label\n\xff\xfe,red\n",
        b'file,label\n"red/00.png,red\n',
        b"file,label\n../../tiny.keras,red\n",
    ],
)
def test_bad_labels_table_is_refused(project, refused, table):
    (project.root / "pictures" / "labels.csv").write_bytes(table)
    line = evaluate(refused, project, "--images", "pictures")
    assert "labels.csv" in line


def test_name_that_is_no_text_is_refused(project, refused):
    folder = bytes(project.root / "pictures" / "red")
    with open(folder + b"/\xff.png", "wb") as file:  # noqa: PTH123 - Path takes no bytes
        file.write((project.root / "pictures" / "red" / "00.png").read_bytes() + b"x")
    line = evaluate(refused, project, "--images", "pictures")
    assert line.isascii()


def test_too_many_undecodable_pictures_fail_and_the_share_can_be_raised(built, call):
    for path in sorted((built.root / "pictures" / "red").iterdir())[:6]:
        path.write_bytes(path.read_bytes()[:60])
    (built.root / "pictures" / "blue" / "00.png").write_bytes(b"")
    # The split is by content, so some of the seven calibrate; ask for evaluation.
    flags = ("--calibration", str(built.home / "calibration"), "--update-lock")
    # Nothing has to be converted for float32, which is not calibrated.
    flags += (*EVALUATE[:-1], "float32", "--images", "pictures", "--point-estimate")
    _calibration(built)
    code, _, err = call(built, "evaluate", *flags)
    assert (code, err.count("\n")) == (1, 1)
    assert "7 of 48 pictures cannot be decoded" in err
    assert "--max-skipped" in err
    code, out, err = call(built, "evaluate", *flags, "--max-skipped", "0.2")
    assert code == 0, err
    dataset = built.read("evaluation.json")["dataset"]
    assert (dataset["images"], dataset["skipped"]) == (41, 7)
    assert "pictures: 7 of 48" in " ".join(out.split())


def _calibration(project):
    """Sixteen and more pictures that are no evaluation pictures."""
    tiny_project.write_pictures(project.home / "calibration", per_class=5, seed=99)


BROKEN = {
    "schema": ("schema = 1", "schema = 2"),
    "no schema": ("schema = 1\n", ""),
    "name that leaves the folder": ('name = "tiny"', 'name = "../tiny"'),
    "name that is empty": ('name = "tiny"', 'name = ""'),
    "name that is a number": ('name = "tiny"', "name = 3"),
    "no name": ('name = "tiny"\n', ""),
    "no title": ('title = "Tiny colours"\n', ""),
    "title that is a number": ('title = "Tiny colours"', "title = 3"),
    "architecture": ('architecture = "keras_file"', 'architecture = "resnet"'),
    "architecture that is a list": (
        'architecture = "keras_file"',
        'architecture = ["keras_file"]',
    ),
    "weights that are a table": ("[[weights]]", "[weights]"),
    "weights without a name": ('name = "colours"\n', ""),
    "no summary": ('summary = "four colours"\n', ""),
    "layout": ('layout = "keras"', 'layout = "caffe"'),
    "labels out of reach": ('labels = "labels.txt"', 'labels = "none.txt"'),
    "labels that are a list": ('labels = "labels.txt"', 'labels = ["a", "b"]'),
    "labels that are binary": ('labels = "labels.txt"', 'labels = "tiny.keras"'),
    "no labels": ('labels = "labels.txt"\n', ""),
    "source kind": ('kind = "file"', 'kind = "ftp"'),
    "no source kind": ('kind = "file"\n', ""),
    "source field": ('path = "tiny.keras"', 'path = "tiny.keras"\nx = 1'),
    "source without a path": ('path = "tiny.keras"\n', ""),
    "source that is a number": ('path = "tiny.keras"', "path = 3"),
    "source out of reach": ('path = "tiny.keras"', 'path = "none.keras"'),
    "source that is a folder": ('path = "tiny.keras"', 'path = "pictures"'),
    "no width": ("width = 32\n", ""),
    "width of nothing": ("width = 32", "width = 0"),
    "width that is text": ("width = 32", 'width = "32"'),
    "huge width": ("width = 32", "width = 100000"),
    "unknown pipeline field": ("height = 32", "height = 32\ncolour = 1"),
    "mean of two": ("height = 32", "height = 32\nmean = [1.0, 2.0]"),
    "std of zero": ("height = 32", "height = 32\nstd = [0.0, 1.0, 1.0]"),
    "crop": ("height = 32", 'height = 32\ncrop = "round"'),
    "licence without text": ('text = "licence.txt"\n', ""),
    "licence out of reach": ('text = "licence.txt"', 'text = "none.txt"'),
    "licence field": ('spdx = "Apache-2.0"', 'spdx = "Apache-2.0"\nx = 1'),
    "licence that is a number": ('spdx = "Apache-2.0"', "spdx = 3"),
    "no TOML": ("schema = 1", "schema 1"),
}


@pytest.mark.parametrize(("before", "after"), BROKEN.values(), ids=BROKEN)
def test_broken_model_file_is_refused_before_anything_is_made(
    project, refused, before, after
):
    path = project.root / "tiny.toml"
    text = path.read_text("utf-8")
    assert text.count(before) >= 1
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    refused(project, "fetch", *MODEL)
    assert not project.lock.exists()


@pytest.mark.parametrize("labels", ["", "one\n", "a\nb\nb\nc\n", "a\n\nb\nc\n"])
def test_impossible_labels_are_refused(project, refused, labels):
    (project.root / "labels.txt").write_text(labels, encoding="utf-8")
    refused(project, "fetch", *MODEL)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", marks=pytest.mark.slow),
        pytest.param(b"PK\x03\x04", marks=pytest.mark.slow),
        b"not a network" * 99,
    ],
)
def test_weights_that_are_no_network_fail_in_one_line(project, refused, data):
    (project.root / "tiny.keras").write_bytes(data)
    flags = (*MODEL, "--recipes", "float32", "--images", "pictures")
    line = refused(project, "convert", *flags, code=1)
    assert "tiny.keras" in line


def test_labels_that_are_too_many_for_the_network_fail_in_one_line(built, refused):
    (built.root / "labels.txt").write_text("red\ngreen\nblue\ngrey\npink\n", "utf-8")
    flags = (*MODEL, "--recipes", "float32", "--images", "pictures", "--update-lock")
    assert "5 labels" in refused(built, "evaluate", *flags)


@pytest.mark.slow
def test_cache_that_is_a_file_is_one_line(project, refused):
    (project.home / "cache").write_bytes(b"")
    flags = (*MODEL, "--recipes", "int8", "--images", "pictures")
    project.environment["EDGEDEPLOY_CACHE"] = str(project.home / "cache")
    refused(project, "package.pi", *flags, code=1)


def test_build_folder_that_is_a_file_is_one_line(project, refused):
    (project.root / "build").write_bytes(b"")
    assert "build" in refused(project, "fetch", *MODEL, code=1)
