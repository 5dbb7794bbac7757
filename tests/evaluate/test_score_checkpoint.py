"""What is left of a pass that was killed, torn or tampered with."""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from small_disks import small_disk

from edgedeploy.errors import WorkspaceError
from edgedeploy.evaluate.checkpoint import ScoreCheckpoint

IMAGES, CLASSES = 40, 6
SHAPE = (IMAGES, CLASSES)


def rows():
    return np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)


def index_of(path):
    return path.with_name(f".{path.name}.index")


def data_of(path):
    return path.with_name(f".{path.name}.unfinished")


def fill(path, count, identity="a"):
    """Be a process that was killed after some rows."""
    checkpoint = ScoreCheckpoint(path, identity, SHAPE)
    for row in range(count):
        checkpoint.write(row, rows()[row])
    checkpoint.close()


def complete(path, identity="a"):
    """Write what is missing and publish; give how many rows were missing."""
    checkpoint = ScoreCheckpoint(path, identity, SHAPE)
    missing = checkpoint.missing
    for row in missing:
        checkpoint.write(row, rows()[row])
    checkpoint.finish({"delegate": "none"})
    checkpoint.publish()
    return missing


def test_published_file_is_a_plain_npy_file(tmp_path):
    path = tmp_path / "deep" / "s.npy"
    assert complete(path) == list(range(IMAGES))
    np.testing.assert_array_equal(np.load(path), rows())
    np.save(tmp_path / "numpy.npy", rows())
    assert path.read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    assert [file.name for file in path.parent.iterdir()] == ["s.npy"]


def test_rows_in_any_order_and_from_many_threads_land_in_their_place(tmp_path):
    path = tmp_path / "s.npy"
    checkpoint = ScoreCheckpoint(path, "a", SHAPE)
    todo = iter(random.Random(5).sample(range(IMAGES), IMAGES))

    def work():
        for row in todo:
            checkpoint.write(row, rows()[row])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checkpoint.close()
    assert complete(path) == []
    np.testing.assert_array_equal(np.load(path), rows())


def test_only_what_is_missing_is_done_again(tmp_path):
    path = tmp_path / "s.npy"
    fill(path, 17)
    assert complete(path) == list(range(17, IMAGES))
    np.testing.assert_array_equal(np.load(path), rows())


def test_skipped_pictures_keep_their_reasons(tmp_path):
    path = tmp_path / "s.npy"
    checkpoint = ScoreCheckpoint(path, "a", SHAPE)
    checkpoint.skip(3, "Käfer.jpg: cannot be decoded")
    checkpoint.skip(4, os.fsdecode(b"\xff.jpg: not a picture"))
    checkpoint.close()
    again = ScoreCheckpoint(path, "a", SHAPE)
    assert again.skipped[3] == "Käfer.jpg: cannot be decoded"
    assert again.skipped[4].endswith(".jpg: not a picture")
    assert set(again.missing) == set(range(IMAGES)) - {3, 4}
    again.close()
    complete(path)
    assert np.isnan(np.load(path)[[3, 4]]).all()


@pytest.mark.parametrize("identity", ["b", "", "a "])
def test_another_pass_is_never_gone_on_with(tmp_path, identity):
    path = tmp_path / "s.npy"
    fill(path, 30)
    checkpoint = ScoreCheckpoint(path, identity, SHAPE)
    assert len(checkpoint.missing) == IMAGES
    checkpoint.close()
    assert complete(path, identity) == list(range(IMAGES))


@pytest.mark.parametrize("shape", [(IMAGES, CLASSES + 1), (IMAGES + 1, CLASSES)])
def test_another_shape_is_never_gone_on_with(tmp_path, shape):
    path = tmp_path / "s.npy"
    fill(path, 30)
    checkpoint = ScoreCheckpoint(path, "a", shape)
    assert len(checkpoint.missing) == shape[0]
    checkpoint.close()


@pytest.mark.parametrize("cut", range(1, 20))
def test_torn_last_record_is_cut_and_its_row_done_again(tmp_path, cut):
    path = tmp_path / "s.npy"
    fill(path, 20)
    index = index_of(path)
    index.write_bytes(index.read_bytes()[:-cut])
    first = 19 if cut <= 16 else 18
    assert complete(path) == list(range(first, IMAGES))
    np.testing.assert_array_equal(np.load(path), rows())


@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere_never_reaches_the_result(tmp_path, seed):
    path = tmp_path / "s.npy"
    fill(path, 35)
    choice = random.Random(seed)
    for victim in (index_of(path), data_of(path)):
        data = bytearray(victim.read_bytes())
        data[choice.randrange(len(data))] ^= 1 << choice.randrange(8)
        victim.write_bytes(data)
    assert 5 < len(complete(path)) <= IMAGES
    np.testing.assert_array_equal(np.load(path), rows())


@pytest.mark.parametrize("text", [b"", b"EDSCORE1", bytes(60), b"\xff" * 9000])
def test_file_that_is_no_index_is_replaced(tmp_path, text):
    path = tmp_path / "s.npy"
    fill(path, 10)
    index_of(path).write_bytes(text)
    assert complete(path) == list(range(IMAGES))


def test_scores_that_vanished_are_made_again(tmp_path):
    path = tmp_path / "s.npy"
    fill(path, 10)
    data_of(path).unlink()
    assert complete(path) == list(range(IMAGES))


def test_pass_killed_before_it_was_published_has_nothing_left_to_do(tmp_path):
    path = tmp_path / "s.npy"
    fill(path, IMAGES)
    checkpoint = ScoreCheckpoint(path, "a", SHAPE)
    assert checkpoint.facts is None
    checkpoint.finish({"delegate": "XNNPACK"})
    checkpoint.close()
    again = ScoreCheckpoint(path, "a", SHAPE)
    assert again.facts == {"delegate": "XNNPACK"}
    again.publish()
    np.testing.assert_array_equal(np.load(path), rows())


def test_pass_with_rows_missing_cannot_end(tmp_path):
    checkpoint = ScoreCheckpoint(tmp_path / "s.npy", "a", SHAPE)
    checkpoint.write(0, rows()[0])
    with pytest.raises(WorkspaceError, match="39 of 40 rows are missing"):
        checkpoint.finish({})
    checkpoint.discard()
    assert list(tmp_path.iterdir()) == []


def test_link_in_the_place_of_the_files_is_not_followed(tmp_path):
    path, other = tmp_path / "s.npy", tmp_path / "other"
    other.write_bytes(b"precious")
    index_of(path).symlink_to(other)
    with pytest.raises(WorkspaceError, match=r"s\.npy"):
        ScoreCheckpoint(path, "a", SHAPE)
    assert other.read_bytes() == b"precious"


def test_second_process_is_kept_out(tmp_path, monkeypatch):
    monkeypatch.setattr("edgedeploy.evaluate.score_files._LOCK_TRIES", 2)
    path = tmp_path / "s.npy"
    first = ScoreCheckpoint(path, "a", SHAPE)
    first.write(0, rows()[0])
    with pytest.raises(WorkspaceError, match="another process is writing them"):
        ScoreCheckpoint(path, "b", SHAPE)
    first.close()
    assert complete(path) == list(range(1, IMAGES))


def test_full_disk_is_one_error_and_keeps_what_is_there(tmp_path):
    with small_disk(tmp_path / "small", "64k") as folder:
        large = (40, 1000)
        checkpoint = ScoreCheckpoint(folder / "s.npy", "a", large)

        def write_all():
            for row in range(40):
                checkpoint.write(row, np.full(1000, row, np.float32))

        with pytest.raises(WorkspaceError, match="No space left"):
            write_all()
        kept = checkpoint.count
        checkpoint.close()
        assert kept > 5
        again = ScoreCheckpoint(folder / "s.npy", "a", large)
        assert len(again.missing) == 40 - kept
        again.close()


WRITE = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from pathlib import Path
from edgedeploy.evaluate.checkpoint import ScoreCheckpoint
checkpoint = ScoreCheckpoint(Path(sys.argv[2]), "a", (4000, 6))
rows = np.random.default_rng(2).normal(size=(4000, 6)).astype(np.float32)
print("begun", flush=True)
for row in checkpoint.missing:
    checkpoint.write(row, rows[row])
print("done", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_process_killed_at_any_moment_leaves_rows_to_go_on_from(tmp_path, seed):
    path = tmp_path / "s.npy"
    delay = random.Random(seed).uniform(0.002, 0.05)
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE, root, path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout.readline() == "begun\n"
    threading.Event().wait(delay)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    expected = np.random.default_rng(2).normal(size=(4000, 6)).astype(np.float32)
    checkpoint = ScoreCheckpoint(path, "a", (4000, 6))
    missing = checkpoint.missing
    assert missing == list(range(4000 - len(missing), 4000))
    for row in missing:
        checkpoint.write(row, expected[row])
    checkpoint.finish({})
    checkpoint.publish()
    np.testing.assert_array_equal(np.load(path), expected)
