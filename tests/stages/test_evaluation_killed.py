"""An evaluation that is killed, and the run after it."""

import random
import re
import shutil
import signal
import time

import pytest

EVALUATE = ["--model", "tiny.toml", "--recipes", "int8", "--images", "many"]
EVALUATE += ["--calibration", "calibration"]


def write_many(tiny, root):
    """Write 2,400 pictures, a folder a class, each class in 40 parts."""
    for part in range(40):
        tiny.write_pictures(root / "part", per_class=15, seed=100 + part)
        for label in (root / "part").iterdir():
            (root / "many" / label.name).mkdir(parents=True, exist_ok=True)
            label.rename(root / "many" / label.name / str(part))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_evaluation_goes_on_at_the_picture_where_it_was_killed(project, tiny, seed):
    write_many(tiny, project.root)
    tiny.write_pictures(project.root / "calibration", seed=77)
    whole = project.run("evaluate", *EVALUATE)
    assert whole.returncode == 0, whole.stderr
    scores = project.folder / ".scores" / "float32.npy"
    expected = scores.read_bytes()
    shutil.rmtree(scores.parent)
    # A header of 52 bytes, and 16 of each picture.
    at = 52 + 16 * random.Random(seed).randrange(100, 1500)
    index = scores.with_name(".float32.npy.index")
    process = project.start("evaluate", *EVALUATE)
    while process.poll() is None:
        if index.is_file() and index.stat().st_size >= at:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not scores.exists()
    again = project.run("evaluate", *EVALUATE)
    assert again.returncode == 0, again.stderr
    said = " ".join((again.stderr + again.stdout).split())
    told = re.search(r"evaluating float32: (\d+) of 2400 pictures were taken", said)
    assert told, said
    assert (at - 52) / 16 <= int(told[1]) < 2400
    assert scores.read_bytes() == expected
    assert {path.suffix for path in scores.parent.iterdir()} == {".npy", ".json"}
