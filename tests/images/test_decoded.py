import os
import shutil
import subprocess
import threading
import time

import numpy as np
import pytest
from small_disks import small_disk

from edgedeploy.errors import InputError
from edgedeploy.images.decoded import LIMIT_VARIABLE, DecodedPictures, decoded_key

SHAPE = (4, 8, 8, 3)
SIZE = 4 * 8 * 8 * 3


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SHAPE, np.uint8)


def fill(decoded, seed: int, broken=None) -> None:
    """Write every picture, the last one first, and make the set visible."""
    assert decoded.create()
    for index in reversed(range(SHAPE[0])):
        decoded.write(index, pixels(seed)[index])
    decoded.commit(broken or {})


def assert_kept(kept, seed: int) -> None:
    assert kept is not None
    for index in range(SHAPE[0]):
        np.testing.assert_array_equal(kept.picture(index), pixels(seed)[index])


def store(folder, key, *, age: float = 0.0) -> None:
    """Keep pictures that were last used some seconds ago."""
    fill(DecodedPictures(folder, key, SHAPE), len(key))
    used = time.time() - age
    os.utime(folder / key / "index.json", (used, used))


def kept(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_pictures_come_back_with_the_reasons_of_the_broken(tmp_path):
    decoded = DecodedPictures(tmp_path / "deep" / "cache", "key", SHAPE)
    assert decoded.open() is None
    assert decoded.create()
    assert decoded.open() is None, "half-filled sets are not visible"
    decoded.discard()
    fill(decoded, 1, {2: "b.jpg: cannot be decoded (Käfer)"})
    found = decoded.open()
    assert_kept(found, 1)
    assert found.broken == {2: "b.jpg: cannot be decoded (Käfer)"}
    assert not found.picture(0).flags.writeable
    assert kept(tmp_path / "deep" / "cache") == {"key"}


def test_discarded_set_leaves_nothing(tmp_path):
    decoded = DecodedPictures(tmp_path, "key", SHAPE)
    decoded.create()
    decoded.discard()
    decoded.commit({})
    assert kept(tmp_path) == set()
    assert decoded.open() is None


@pytest.mark.parametrize(
    "index",
    [
        "",
        "[]",
        "5",
        '"text"',
        "{}",
        '{"broken": []}',
        '{"broken": null}',
        '{"broken": {"x": "reason"}}',
        '{"broken"',
        "\udcff",
    ],
)
def test_damaged_index_counts_as_not_there_and_is_replaced(tmp_path, index):
    store(tmp_path, "key")
    text = index.encode(errors="surrogateescape")
    (tmp_path / "key" / "index.json").write_bytes(text)
    decoded = DecodedPictures(tmp_path, "key", SHAPE)
    assert decoded.open() is None
    fill(decoded, 5)
    assert_kept(decoded.open(), 5)


@pytest.mark.parametrize("size", [0, SIZE - 1, SIZE + 1])
def test_pixels_of_another_size_count_as_not_there(tmp_path, size):
    store(tmp_path, "key")
    (tmp_path / "key" / "rgb.u8").write_bytes(bytes(size))
    assert DecodedPictures(tmp_path, "key", SHAPE).open() is None


def test_missing_pixels_count_as_not_there(tmp_path):
    store(tmp_path, "key")
    (tmp_path / "key" / "rgb.u8").unlink()
    assert DecodedPictures(tmp_path, "key", SHAPE).open() is None


def test_set_used_longest_ago_makes_room(tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, str(3 * SIZE))
    store(tmp_path, "first", age=300)
    store(tmp_path, "second", age=200)
    store(tmp_path, "third", age=100)
    # Reading is using: "second" is the one used longest ago then.
    assert DecodedPictures(tmp_path, "first", SHAPE).open()
    store(tmp_path, "fourth")
    assert kept(tmp_path) == {"first", "third", "fourth"}


def test_as_many_as_needed_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, str(3 * SIZE))
    for age, key in ((300, "a"), (200, "b"), (100, "c")):
        store(tmp_path, key, age=age)
    large = DecodedPictures(tmp_path, "large", (8, 8, 8, 3))
    assert large.create()
    large.commit({})
    assert kept(tmp_path) == {"c", "large"}


def test_set_over_the_limit_is_not_kept_and_drops_no_other(tmp_path, monkeypatch):
    store(tmp_path, "a")
    monkeypatch.setenv(LIMIT_VARIABLE, str(SIZE - 1))
    decoded = DecodedPictures(tmp_path, "b", SHAPE)
    assert decoded.create() is False
    decoded.commit({})
    assert kept(tmp_path) == {"a"}


def test_limit_of_zero_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    assert DecodedPictures(tmp_path, "a", SHAPE).create() is False


@pytest.mark.parametrize("value", ["4G", "-1", "1.5", "²", " "])
def test_limit_that_is_no_number_of_bytes_is_refused(tmp_path, monkeypatch, value):
    monkeypatch.setenv(LIMIT_VARIABLE, value)
    with pytest.raises(InputError, match="EDGEDEPLOY_DECODED_BYTES must be a number"):
        DecodedPictures(tmp_path, "a", SHAPE).create()


def test_set_without_pictures_is_not_kept(tmp_path):
    assert DecodedPictures(tmp_path, "a", (0, 8, 8, 3)).create() is False


def test_what_a_killed_process_left_goes_with_the_next_set(tmp_path):
    (tmp_path / ".partial-killed").mkdir()
    (tmp_path / ".partial-killed" / "rgb.u8").write_bytes(b"x")
    store(tmp_path, "key")
    assert kept(tmp_path) == {"key"}


def test_file_in_the_place_of_the_cache_only_costs_time(tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    decoded = DecodedPictures(tmp_path / "cache", "key", SHAPE)
    assert decoded.open() is None
    assert decoded.create() is False


@pytest.fixture
def disk(tmp_path):
    """A file system of 256 KiB."""
    with small_disk(tmp_path / "small", "256k") as folder:
        yield folder


def test_full_disk_only_costs_time(disk, monkeypatch):
    decoded = DecodedPictures(disk, "key", (2, 256, 256, 3))
    assert decoded.create() is False
    # Free by the count, but gone when it is wanted: an error, not a bus error later.
    usage = shutil.disk_usage(disk)._replace(free=1 << 40)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert decoded.create() is False
    assert kept(disk) == set()


def test_read_only_cache_is_still_read(disk):
    store(disk, "key")
    remount = ["mount", "-o", "remount,ro", str(disk)]
    subprocess.run(remount, check=True)
    assert_kept(DecodedPictures(disk, "key", SHAPE).open(), 3)
    assert DecodedPictures(disk, "other", SHAPE).create() is False


def test_reader_keeps_its_pictures_while_they_are_evicted(tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, str(SIZE))
    store(tmp_path, "aaa")
    found = DecodedPictures(tmp_path, "aaa", SHAPE).open()
    store(tmp_path, "b")
    assert kept(tmp_path) == {"b"}
    assert_kept(found, 3)


def test_released_picture_can_be_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("edgedeploy.images.decoded._MAPPED_BYTES", 1)
    store(tmp_path, "aaa")
    found = DecodedPictures(tmp_path, "aaa", SHAPE).open()
    for _ in range(SHAPE[0]):
        found.release()
    assert_kept(found, 3)


def test_set_that_could_not_be_written_is_not_kept(tmp_path, monkeypatch):
    decoded = DecodedPictures(tmp_path, "key", SHAPE)
    assert decoded.create()
    monkeypatch.setattr(os, "pwrite", lambda handle, data, place: len(data) - 1)
    decoded.write(0, pixels(1)[0])
    monkeypatch.undo()
    decoded.write(1, pixels(1)[1])
    decoded.commit({})
    assert kept(tmp_path) == set()


def test_readers_and_writers_at_once_see_whole_sets_or_none(tmp_path):
    stop = threading.Event()

    def write():
        while not stop.is_set():
            store(tmp_path, "key")
            shutil.rmtree(tmp_path / "key", ignore_errors=True)

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    deadline = time.monotonic() + 30
    decoded = DecodedPictures(tmp_path, "key", SHAPE)
    try:
        while seen < 20 and time.monotonic() < deadline:
            opened = decoded.open()
            if opened is not None:
                seen += 1
                assert_kept(opened, 3)
    finally:
        stop.set()
        writer.join()
    assert seen == 20


def test_two_writers_of_one_set_leave_one(tmp_path):
    first, second = (DecodedPictures(tmp_path, "key", SHAPE) for _ in range(2))
    assert first.create()
    fill(second, 1)
    for index in range(SHAPE[0]):
        first.write(index, pixels(1)[index])
    first.commit({})
    assert kept(tmp_path) == {"key"}
    assert_kept(first.open(), 1)


def test_name_depends_on_all_that_decides_the_pixels():
    names = {
        decoded_key("a", "g", {"pillow": "1", "code": "2"}),
        decoded_key("b", "g", {"pillow": "1", "code": "2"}),
        decoded_key("a", "h", {"pillow": "1", "code": "2"}),
        decoded_key("a", "g", {"pillow": "2", "code": "2"}),
        decoded_key("a", "g", {"code": "2", "pillow": "1"}),
    }
    assert len(names) == 4
    assert all(len(name) == 32 and name.isalnum() for name in names)
