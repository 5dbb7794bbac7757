"""Sizes of picture in Kotlin, compiled and run on the JVM, against Python."""

import subprocess
from pathlib import Path

import pytest

from edgedeploy.ondevice.shapes import parse_shapes

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

PROGRAM = Path(__file__).parent / "kotlin_programs" / "Shapes.kt"
LIST = "64x32,32x32,40x48"
LOW, HIGH, STEP = "16x32", "64x96", "16x32"
SIDES = (1, 16, 17, 32, 40, 48, 64, 80, 96, 97)


@pytest.fixture(scope="module")
def lines(compile_kotlin):
    jar = compile_kotlin(PROGRAM)
    sides = ",".join(map(str, SIDES))
    done = subprocess.run(
        ["java", "-cp", jar, "ShapesKt", LIST, f"{LOW},{HIGH},{STEP}", sides],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_kotlin_allows_and_describes_the_sizes_that_python_does(lines):
    for part, text in enumerate((LIST, f"{LOW}..{HIGH}/{STEP}")):
        shapes = parse_shapes(text)
        said, *rows = lines[part * (1 + len(SIDES)) : (part + 1) * (1 + len(SIDES))]
        assert said == shapes.describe()
        assert rows == [
            "".join("1" if shapes.allows(w, h) else "0" for h in SIDES) for w in SIDES
        ]
        assert any("1" in row for row in rows)


def test_the_interpreter_is_resized_when_the_size_changes_and_never_otherwise(lines):
    begin = 2 * (1 + len(SIDES))
    large = ["resize 0 1x32x64x3", "allocate"]
    small = ["resize 0 1x32x32x3", "allocate"]
    assert lines[begin:-6] == [
        "now 32x32",
        *(*large, "now 64x32"),
        "now 64x32",
        *(*small, "now 32x32"),
        *(*large, "failed, still 32x32"),
        # After a failure it prepares again, though the size seems to be the same.
        *small,
    ]


def test_what_the_model_does_not_take_is_refused_in_one_line(lines):
    assert lines[-6:-3] == [
        "refused: the model takes pictures of 32x32, 40x48, 64x32; received 33x32",
        "refused: the model takes pictures of 8x8; received 9x8",
        "refused: the pipeline's size 8x8 is none of the shapes (32x32, 40x48, 64x32)",
    ]
    assert all(line.startswith("refused: ") for line in lines[-3:])
