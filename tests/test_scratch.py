import os
import subprocess
import sys
from pathlib import Path

from edgedeploy.scratch import make_scratch, remove_abandoned

CHILD = """
import sys
from pathlib import Path
from pathlib import Path
from edgedeploy.scratch import make_scratch
print(make_scratch(Path(sys.argv[1]), "incoming"), flush=True)
sys.stdin.read()
"""


def start_owner(parent):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return child, child.stdout.readline().strip()


def test_folder_of_a_living_process_stays_and_of_a_killed_one_goes(tmp_path):
    child, folder = start_owner(tmp_path)
    try:
        remove_abandoned(tmp_path, "incoming")
        assert Path(folder).is_dir()
    finally:
        child.kill()
        child.wait()
    remove_abandoned(tmp_path, "incoming")
    assert not Path(folder).exists()


def test_own_folder_stays_while_another_is_made(tmp_path):
    first = make_scratch(tmp_path, "incoming")
    second = make_scratch(tmp_path, "incoming")
    assert first.is_dir()
    assert second.is_dir()
    assert first != second


def test_folder_without_an_owner_is_abandoned_and_other_kinds_are_left(tmp_path):
    (tmp_path / ".incoming-killed").mkdir()
    (tmp_path / ".partial-killed").mkdir()
    remove_abandoned(tmp_path, "incoming")
    assert [path.name for path in tmp_path.iterdir()] == [".partial-killed"]


def test_folder_of_another_machine_stays_until_it_is_a_day_old(tmp_path):
    folder = tmp_path / ".incoming-elsewhere+1+x"
    folder.mkdir()
    remove_abandoned(tmp_path, "incoming")
    assert folder.is_dir()
    long_ago = folder.stat().st_mtime - 2 * 86400
    os.utime(folder, (long_ago, long_ago))
    remove_abandoned(tmp_path, "incoming")
    assert not folder.exists()
