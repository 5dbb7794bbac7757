"""Two builds at once, and builds that are told to stop."""

import os
import signal
import time
from pathlib import Path

import pytest


def children(pid):
    """Every process below one, and itself."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:  # It ended in the meantime.
            continue
        parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while grown := {one for one, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def half_written(project):
    return [
        path
        for folder in (project.folder, project.home / "cache")
        for path in folder.rglob("*")
        if path.name.endswith((".partial", ".tmp"))
        or path.name.startswith((".partial-", ".incoming-", ".record-", ".unpack-"))
    ]


def test_second_build_in_the_folder_waits_and_finds_everything_done(built, tiny):
    (built.folder / "variants" / "float32" / "model.tflite").unlink()
    first = built.start("build", *tiny.standard(()))
    # Its child converts, so it is inside the folder for seconds to come.
    assert wait_until(lambda: len(children(first.pid)) > 1)
    second = built.start("build", *tiny.standard(()))
    outputs = [process.communicate(timeout=200) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    waiting = " ".join(outputs[1][0].split())
    assert waiting.count("another edgedeploy is working in") == 1
    assert "convert" in outputs[0][0]
    assert "✓" not in outputs[1][0]
    assert "nothing changed" in outputs[1][0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_says_so_in_one_line_and_leaves_no_child(project, tiny, number):
    process = project.start("build", *tiny.standard(()))
    assert wait_until(lambda: len(children(process.pid)) > 1)
    # Well into TensorFlow's import, where Python is busy.
    time.sleep(1)
    family = children(process.pid)
    assert len(family) > 1
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.count("\n") == 1, err
    assert "interrupted" in err
    assert "Traceback" not in out + err
    # Killed, or about to read the end of its input: it has no time to go on.
    gone = wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), 10
    )
    assert gone
    assert half_written(project) == []


def test_interrupt_while_waiting_for_another_build_is_quick(built, tiny):
    import filelock

    with filelock.FileLock(built.folder / ".lock"):
        process = built.start("build", *tiny.standard(()))
        line = process.stdout.readline()
        assert "another edgedeploy is working" in line
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.count("\n") == 1
