import itertools
import os
import shutil
import threading
import time

import pytest

from edgedeploy.ondevice import watch as module
from edgedeploy.ondevice.pictures import PictureError
from edgedeploy.ondevice.stop import StopRequest
from edgedeploy.ondevice.watch import FolderWatch

LOOK_S = 0.02


class Steps:
    """A stop request that lets a number of looks happen, with work before each."""

    def __init__(self, *work):
        self.requested = False
        self._work = iter(work)

    def wait(self, _seconds):
        work = next(self._work, None)
        if work is None:
            self.requested = True
        else:
            work()
        return self.requested


def nothing():
    pass


def seen(folder, *work):
    """What is given while `work` happens, one piece before each look."""
    watch = FolderWatch([folder], LOOK_S)
    return [(path.name, final) for path, final in watch.wait(Steps(*work))]


def test_pictures_of_before_are_old(tmp_path):
    (tmp_path / "old.jpg").write_bytes(b"1")
    assert seen(tmp_path, nothing, nothing, nothing) == []


def test_new_picture_is_given_once_after_it_stopped_changing(tmp_path):
    new = tmp_path / "new.jpg"
    work = [
        lambda: new.write_bytes(b"1"),
        lambda: new.write_bytes(b"12"),
        lambda: new.write_bytes(b"123"),
    ]
    given = []
    watch = FolderWatch([tmp_path], LOOK_S)

    def count(step):
        def run():
            step()
            given.append(None)

        return run

    steps = Steps(*map(count, [*work, nothing, nothing, nothing]))
    for path, final in watch.wait(steps):
        # Written before looks 1 to 3, so the fourth sees the third's state again.
        assert (path.name, final, len(given)) == ("new.jpg", False, 4)
        assert path.read_bytes() == b"123"
    assert len(given) == 6


def test_overwritten_and_renamed_pictures_are_new(tmp_path):
    latest, part = tmp_path / "latest.jpg", tmp_path / "in.part"
    latest.write_bytes(b"1")
    part.write_bytes(b"2")
    assert seen(
        tmp_path,
        lambda: latest.write_bytes(b"other"),
        lambda: part.rename(tmp_path / "in.png"),
        nothing,
        nothing,
    ) == [("latest.jpg", False), ("in.png", False)]


def test_new_folders_are_watched_and_other_files_are_not(tmp_path):
    def work():
        deep = tmp_path / "a/b"
        deep.mkdir(parents=True)
        for name in ("c.JPG", ".hidden.jpg", "text.txt", "noise.jpg~"):
            (deep / name).write_bytes(b"1")

    assert seen(tmp_path, work, nothing, nothing) == [("c.JPG", False)]


def test_folder_that_vanishes_below_is_passed_over(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.jpg").write_bytes(b"1")
    assert seen(tmp_path, lambda: shutil.rmtree(tmp_path / "a"), nothing) == []


def test_watched_folder_that_vanishes_is_an_error(tmp_path):
    folder = tmp_path / "stick"
    folder.mkdir()
    with pytest.raises(PictureError, match="cannot be watched"):
        seen(folder, folder.rmdir, nothing)
    with pytest.raises(PictureError, match="cannot be watched"):
        FolderWatch([folder], LOOK_S)


def test_incomplete_picture_is_tried_again_when_it_grew(tmp_path):
    new = tmp_path / "new.jpg"
    watch = FolderWatch([tmp_path], LOOK_S)
    steps = Steps(
        lambda: new.write_bytes(b"1"), nothing, nothing, nothing,
        lambda: new.write_bytes(b"12"), nothing, nothing,
    )  # fmt: skip
    tries = []
    for path, final in watch.wait(steps):
        tries.append((path.read_bytes(), final))
        if path.read_bytes() == b"1":
            watch.postpone(path)
    assert tries == [(b"1", False), (b"12", False)]


def test_picture_that_never_gets_complete_is_given_up_once(tmp_path, monkeypatch):
    clock = itertools.count(0, 4)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    new = tmp_path / "new.jpg"
    watch = FolderWatch([tmp_path], LOOK_S)
    finals = []
    for path, final in watch.wait(
        Steps(lambda: new.write_bytes(b"1"), *[nothing] * 10)
    ):
        finals.append(final)
        if not final:
            watch.postpone(path)
    assert finals == [False, True]


def test_memory_does_not_grow_with_pictures_that_are_gone(tmp_path):
    watch = FolderWatch([tmp_path], LOOK_S)

    def write(number):
        for old in tmp_path.iterdir():
            old.unlink()
        (tmp_path / f"{number}.jpg").write_bytes(b"1")

    def work(number):
        return lambda: None if number % 2 else write(number)

    given = list(watch.wait(Steps(*map(work, range(100)))))
    assert len(given) == 50
    assert len(watch._done) + len(watch._pending) <= 1


def test_waiting_ends_at_once_when_a_signal_comes():
    with StopRequest() as stop:
        killer = threading.Timer(0.1, os.kill, (os.getpid(), 15))
        killer.start()
        start = time.monotonic()
        assert stop.wait(30)
        assert time.monotonic() - start < 10
    killer.join()


def test_signals_are_given_back():
    import signal

    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
        # Asked again, it ends like any other program.
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) not in before
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_other_signals_do_not_end_the_waiting():
    import signal

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with StopRequest() as stop:
            killer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
            killer.start()
            assert stop.wait(0.2) is False
        killer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
