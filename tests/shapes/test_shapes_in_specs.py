"""Shapes in a model's file and on the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from edgedeploy.catalog import read_model_file
from edgedeploy.errors import InputError
from edgedeploy.ondevice.shapes import parse_shapes

ROOT = Path(__file__).resolve().parents[2]
RANGE = '\n[input]\nshape = "range"\nmin = [16, 32]\nmax = [48, 64]\nstep = [16, 32]\n'
LIST = '\n[weights.input]\nshape = "enumerated"\nsizes = [[32, 32], [48, 40]]\n'


@pytest.fixture
def write(tmp_path, project_texts):
    def run(model="", weights=""):
        text = project_texts.TOML.replace("\n[[weights]]", f"{model}\n[[weights]]")
        text = text.replace("\n[weights.source]", f"{weights}\n[weights.source]")
        (tmp_path / "tiny.toml").write_text(text)
        (tmp_path / "labels.txt").write_text("\n".join(project_texts.LABELS) + "\n")
        (tmp_path / "licence.txt").write_text("As you like.\n")
        return tmp_path / "tiny.toml"

    return run


def test_a_model_without_the_table_has_one_size(write):
    (spec,) = read_model_file(write())
    assert spec.shapes is None


def test_the_models_shapes_hold_for_weights_without_their_own(write):
    (spec,) = read_model_file(write(model=RANGE))
    assert spec.shapes == parse_shapes("16x32..48x64/16x32")
    (spec,) = read_model_file(write(model=RANGE, weights=LIST))
    assert spec.shapes == parse_shapes("32x32,48x40")


@pytest.mark.parametrize(
    "table",
    [
        "\n[input]\n",
        "\n[input]\nshape = 5\n",
        '\n[input]\nshape = "enumerated"\nsizes = []\n',
        '\n[input]\nshape = "enumerated"\nsizes = [["32", "32"]]\n',
        '\n[input]\nshape = "enumerated"\nsizes = [[32, 32]]\nmin = [1, 1]\n',
        '\n[input]\nshape = "range"\nmin = [32, 32]\nmax = [64, 64]\n',
        '\n[input]\nshape = "range"\nmin = 9\nmax = 1\nstep = 1\n',
    ],
)
def test_a_wrong_table_names_the_file(write, table):
    with pytest.raises(InputError, match=r"tiny\.toml"):
        read_model_file(write(model=table))


def test_shapes_without_the_pipelines_size_are_refused(write):
    table = '\n[input]\nshape = "enumerated"\nsizes = [[48, 48]]\n'
    with pytest.raises(InputError, match="pictures of 32x32, which the shapes"):
        read_model_file(write(model=table))


@pytest.mark.parametrize("value", ["x", "48x48", "32..64", "32..64/5", "32x32x3"])
def test_a_wrong_flag_gives_one_line_and_exit_code_2(write, tmp_path, value):
    write()
    (tmp_path / "tiny.keras").write_bytes(b"nothing reads it")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgedeploy", "convert"),
            *("--model", "tiny.toml", "--shapes", value),
        ],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")


def test_operators_of_ones_own_and_many_sizes_are_refused_together(write, tmp_path):
    path = write(model=RANGE)
    (tmp_path / "op.c").write_text("")
    table = '\n[[custom_ops]]\nname = "Op"\nlayer = "pool"\nsource = "op.c"\n'
    path.write_text(path.read_text() + table)
    with pytest.raises(InputError, match="run at one size of picture"):
        read_model_file(path)
