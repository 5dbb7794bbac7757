"""Small parts of the Kotlin, run on the JVM against values worked out by hand, and the
parts that need Android's LiteRT, type-checked."""

import subprocess
from pathlib import Path

import pytest

from edgedeploy.resources import resource_folder

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
LITERT = resource_folder("android_assets") / "aar" / "Interpreter.kt"


def test_small_parts_answer_as_worked_out_by_hand(compile_kotlin):
    jar = compile_kotlin(HERE / "kotlin_programs" / "Values.kt")
    done = subprocess.run(
        ["java", "-jar", jar], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "width and height must be 1 to 8192; received 0x4",
        "kernel must be one of nearest, box, bilinear, bicubic, lanczos; "
        "received cubist",
        "a picture of 2x2 has 12 bytes; received 11",
        "1 b 0.4, 2 c 0.4, 0 a 0.2",
        "0 a -0.0, 1 b 0.0",
        "1 scores but 2 labels",
        "0.0, 0.00390625, 0.99609375",
        "0.0, 64.0, 127.5",
        "-1, 1, 2",
    ]


def litert_sources():
    kotlin = resource_folder("android_assets") / "kotlin"
    return sorted((kotlin / "litert").glob("*.kt"))


def test_what_calls_litert_fits_its_stated_interface(compile_kotlin):
    assert litert_sources()
    compile_kotlin(*litert_sources(), LITERT)


def test_misspelt_call_is_caught(compile_kotlin, tmp_path):
    copies = []
    for path in litert_sources():
        copy = tmp_path / path.name
        copy.write_text(path.read_text().replace("resizeInput(", "resizeInputs("))
        copies.append(copy)
    with pytest.raises(AssertionError, match="resizeInputs"):
        compile_kotlin(*copies, LITERT)
