"""The Kotlin loop and its checkpoints on the JVM; its LiteRT part, type-checked."""

import random
import subprocess
import time
from pathlib import Path

import pytest

from edgedeploy.resources import resource_folder

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1200)]

HERE = Path(__file__).parent / "kotlin"


@pytest.fixture(scope="module")
def program(compile_kotlin):
    return compile_kotlin(HERE / "TrainingProgram.kt", library="kotlin_training")


def _run(program, *words):
    return subprocess.run(
        ["java", "-jar", program, *words], capture_output=True, text=True
    )


def test_learner_fits_the_stated_interface_of_litert(compile_kotlin):
    folder = resource_folder("android_assets") / "kotlin_training" / "litert"
    compile_kotlin(
        *sorted(folder.glob("*.kt")),
        HERE / "Interpreter.kt",
        library="kotlin_training",
    )


def test_a_killed_training_goes_on_exactly(program, tmp_path):
    whole = _run(program, "train", tmp_path / "a")
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.startswith("[")
    assert _run(program, "interrupt", tmp_path / "b").returncode == 9
    assert (tmp_path / "b").exists()
    assert _run(program, "train", tmp_path / "b").stdout == whole.stdout


def test_an_absurd_learning_rate_is_noticed_and_the_model_kept(program, tmp_path):
    lines = _run(program, "diverge", tmp_path / "a").stdout.splitlines()
    assert "went astray" in lines[0]
    assert lines[1] == "true"


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(program, tmp_path):
    moments = random.Random(3)
    for _ in range(5):
        writer = subprocess.Popen(
            ["java", "-jar", program, "write", tmp_path / "c"], stdout=subprocess.PIPE
        )
        writer.stdout.readline()
        time.sleep(moments.random() * 0.1)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        assert _run(program, "read", tmp_path / "c").stdout == "true\n"


def test_a_cut_file_falls_back_to_the_one_before(program, tmp_path):
    assert _run(program, "train", tmp_path / "a").returncode == 0
    whole = (tmp_path / "a").read_bytes()
    for keep in (0, 8, 30, len(whole) - 1):
        (tmp_path / "a").write_bytes(whole[:keep])
        # The one before stands inside the last epoch; the rest of it is trained again.
        again = _run(program, "train", tmp_path / "a")
        assert again.returncode == 0, again.stderr
        assert (tmp_path / "a").read_bytes() == whole
