import subprocess
import sys
from pathlib import Path

import pytest

from edgedeploy.devices.emulated.store import facts_of, prepared
from edgedeploy.errors import DeviceError, WorkspaceError

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "emulated"


def fill(folder):
    (folder / "file").write_text("x")
    return {"files": 1}


def never(_folder):
    raise AssertionError("it was there already")


def test_is_filled_once_and_used_again():
    first = prepared("thing", {"a": 1}, fill)
    assert prepared("thing", {"a": 1}, never) == first
    assert (first / "file").read_text() == "x"
    assert facts_of(first) == {"files": 1}


def test_another_recipe_is_another_folder():
    assert prepared("thing", {"a": 1}, fill) != prepared("thing", {"a": 2}, fill)


def test_failure_leaves_nothing(cache):
    def fail(folder):
        fill(folder)
        raise DeviceError("no")

    with pytest.raises(DeviceError, match="no"):
        prepared("thing", {}, fail)
    assert [path.name for path in cache.iterdir()] == [".thing.lock"]


def test_what_a_killed_process_left_is_removed(cache):
    cache.mkdir(parents=True)
    (cache / ".incoming-thing-abc").mkdir()
    (cache / ".incoming-thing-abc" / "half").write_text("x")
    prepared("thing", {}, fill)
    assert not (cache / ".incoming-thing-abc").exists()


def test_half_a_folder_in_its_place_is_replaced(cache):
    place = prepared("thing", {}, fill)
    (place / ".complete.json").unlink()
    (place / "file").write_text("damaged")
    assert (prepared("thing", {}, fill) / "file").read_text() == "x"


def test_damaged_facts_are_one_line():
    place = prepared("thing", {}, fill)
    (place / ".complete.json").write_text("{")
    with pytest.raises(WorkspaceError, match="damaged"):
        facts_of(place)


def test_cache_that_is_a_file_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path / "file"))
    with pytest.raises(WorkspaceError, match="file"):
        prepared("thing", {}, fill)


# Not forked from the tests' own process, where TensorFlow's threads may hold a lock.
PREPARE = """
import time
from edgedeploy.devices.emulated.store import prepared
def fill(folder):
    with (folder.parent / "fills").open("a") as file:
        file.write("once ")
    time.sleep(0.5)
    return {}
prepared("thing", {}, fill)
"""


def test_two_processes_fill_once(cache):
    command = [sys.executable, "-c", PREPARE]
    children = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    assert (cache / "fills").read_text() == "once "
