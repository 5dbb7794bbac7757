"""Forks that share a queue; what happens when one of them fails or dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgedeploy.errors import EvaluationError, IsolatedError, WorkspaceError
from edgedeploy.evaluate.workers import spread
from edgedeploy.ondevice.pictures import PictureError

ROOT = Path(__file__).parents[2]


def done(folder):
    return {int(path.name) for path in folder.iterdir()}


def leave(folder):
    return lambda item: (folder / str(item)).touch(exist_ok=False)


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_item_is_done_once(tmp_path, processes):
    items = [7, 3, 2**31, 0, *range(100, 300)]
    calls = []
    spread(items, leave(tmp_path), processes=processes, watch=lambda: calls.append(1))
    assert done(tmp_path) == set(items)
    assert calls


def test_no_items_are_no_work(tmp_path):
    spread([], leave(tmp_path), processes=2, watch=lambda: None)
    assert done(tmp_path) == set()


@pytest.mark.parametrize("processes", [1, 3])
def test_error_of_the_first_item_that_fails_is_raised_each_time(tmp_path, processes):
    def work(item):
        (tmp_path / str(item)).touch()
        if item >= 20:
            raise WorkspaceError(f"item {item} failed")

    with pytest.raises(WorkspaceError, match="item 20 failed"):
        spread(range(1000), work, processes=processes, watch=lambda: None)
    assert set(range(20)) <= done(tmp_path) <= set(range(20 + processes))


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (PictureError("odd"), EvaluationError, "odd"),
        (ZeroDivisionError("by zero"), IsolatedError, "ZeroDivisionError: by zero"),
        (EvaluationError("x" * 9000), EvaluationError, "x" * 1000),
    ],
)
def test_errors_come_as_ours(error, kind, text):
    def work(_item):
        raise error

    with pytest.raises(kind) as caught:
        spread([1], work, processes=2, watch=lambda: None)
    assert str(caught.value) == text


PROGRAM = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from edgedeploy.evaluate.workers import spread
folder, number = Path(sys.argv[2]), int(sys.argv[3])

def work(item):
    (folder / str(os.getpid())).touch()
    if number and item == 3:
        os.kill(os.getpid(), number)
    time.sleep(0.02)

spread(range(100_000), work, processes=3, watch=lambda: None)
"""


def start(folder, number):
    command = [sys.executable, "-c", PROGRAM, ROOT, folder, number]
    return subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_death_of_a_worker_is_the_death_of_all_by_the_same_signal(tmp_path, number):
    program = start(tmp_path, int(number))
    program.communicate(timeout=60)
    assert program.returncode == -number
    assert_gone(done(tmp_path))


def test_workers_do_not_outlive_who_started_them(tmp_path):
    program = start(tmp_path, 0)
    deadline = time.monotonic() + 60
    while len(done(tmp_path)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    program.kill()
    program.communicate(timeout=60)
    assert_gone(done(tmp_path))


def assert_gone(processes):
    deadline = time.monotonic() + 60
    while any(is_alive(process) for process in processes):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
