import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from edgedeploy.errors import FetchError, InputError, WorkspaceError
from edgedeploy.fetch import Unreachable, fetch
from edgedeploy.specs import FileSource, HttpsSource

CONTENT = random.Random(3).randbytes(2_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FETCH_IN_A_CHILD = """
import sys
from pathlib import Path
from edgedeploy.fetch import fetch
from edgedeploy.specs import HttpsSource
url, md5, cache = sys.argv[1:]
source = HttpsSource(
    url=url, filename="w.h5", md5=md5, mirror_variable="EDGEDEPLOY_MIRROR_TEST"
)
print(fetch(source, cache=Path(cache)).path)
"""


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch):
    monkeypatch.delenv("EDGEDEPLOY_MIRROR_TEST", raising=False)


def make_source(base, **changes):
    fields = {"md5": hashlib.md5(CONTENT).hexdigest(), "size_bytes": len(CONTENT)}
    return HttpsSource(
        url=f"{base}/deep/w.h5",
        filename="w.h5",
        mirror_variable="EDGEDEPLOY_MIRROR_TEST",
        **(fields | changes),
    )


def test_file_lands_under_its_sha256(serve, tmp_path):
    base, _ = serve(CONTENT)
    got = fetch(make_source(base), cache=tmp_path)
    assert got.path == tmp_path / "sources" / SHA256 / "w.h5"
    assert got.path.read_bytes() == CONTENT
    assert (got.sha256, got.size_bytes) == (SHA256, len(CONTENT))
    assert got.origin == f"{base}/deep/w.h5"


def test_second_fetch_asks_nobody(serve, tmp_path):
    base, tricks = serve(CONTENT)
    first = fetch(make_source(base), cache=tmp_path)
    assert fetch(make_source(base), cache=tmp_path, offline=True) == first
    assert len(tricks.requests) == 1


def test_locked_sha256_is_found_without_the_address_that_served_it(serve, tmp_path):
    base, _ = serve(CONTENT)
    first = fetch(make_source(base), cache=tmp_path)
    gone = make_source("https://gone.example", md5=None, sha256=SHA256.upper())
    assert fetch(gone, cache=tmp_path, offline=True).path == first.path


def test_offline_and_not_cached_is_unreachable(serve, tmp_path):
    base, tricks = serve(CONTENT)
    with pytest.raises(Unreachable, match="not in the cache"):
        fetch(make_source(base), cache=tmp_path, offline=True)
    assert tricks.requests == []


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "record"])
def test_damaged_cache_is_noticed_and_fetched_again(serve, tmp_path, harm):
    base, tricks = serve(CONTENT)
    path = fetch(make_source(base), cache=tmp_path).path
    if harm == "flip":
        path.write_bytes(bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
    elif harm == "truncate":
        os.truncate(path, 10)
    elif harm == "remove":
        path.unlink()
    else:
        (path.parent / "record.json").write_text("[1")
    with pytest.raises(Unreachable):
        fetch(make_source(base), cache=tmp_path, offline=True)
    assert fetch(make_source(base), cache=tmp_path).path.read_bytes() == CONTENT
    assert len(tricks.requests) == 2


def test_touched_but_equal_file_is_still_a_hit(serve, tmp_path):
    base, tricks = serve(CONTENT)
    path = fetch(make_source(base), cache=tmp_path).path
    os.utime(path, (1, 1))
    assert fetch(make_source(base), cache=tmp_path, offline=True).path == path
    assert len(tricks.requests) == 1


def test_cached_record_cannot_point_out_of_its_folder(serve, tmp_path):
    base, _ = serve(CONTENT)
    path = fetch(make_source(base), cache=tmp_path).path
    record = json.loads((path.parent / "record.json").read_text())
    record["filename"] = "../../../outside"
    (path.parent / "record.json").write_text(json.dumps(record))
    (tmp_path / "outside").write_bytes(CONTENT)
    with pytest.raises(Unreachable):
        fetch(make_source(base), cache=tmp_path, offline=True)


def test_unreachable_says_the_ways_on_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEDEPLOY_MIRROR_TEST", "http://127.0.0.1:9/none")
    with pytest.raises(Unreachable) as caught:
        fetch(make_source("https://publisher.example"), cache=tmp_path)
    message = str(caught.value)
    assert "EDGEDEPLOY_MIRROR_TEST" in message
    assert "--weights PATH" in message
    assert "\n" not in message


def test_mirror_serves_what_the_publisher_promised(serve, tmp_path, monkeypatch):
    base, tricks = serve(CONTENT)
    monkeypatch.setenv("EDGEDEPLOY_MIRROR_TEST", f"{base}/mirror")
    got = fetch(make_source("https://publisher.example"), cache=tmp_path)
    assert got.sha256 == SHA256
    assert got.origin == "https://publisher.example/deep/w.h5"
    assert tricks.requests[0][":path"] == "/mirror/w.h5"


def test_wrong_bytes_never_enter_the_cache(serve, tmp_path):
    base, _ = serve(CONTENT)
    with pytest.raises(FetchError, match="expected sha256 0000") as caught:
        fetch(make_source(base, md5=None, sha256="0" * 64), cache=tmp_path)
    assert not isinstance(caught.value, Unreachable)
    assert not (tmp_path / "sources" / SHA256).exists()


@pytest.mark.parametrize("filename", ["", "../w.h5", "/w.h5", "a/b"])
def test_file_name_that_escapes_is_refused(tmp_path, filename):
    source = HttpsSource(
        url="https://a.example/w.h5", filename=filename, md5="0", mirror_variable="X"
    )
    with pytest.raises(InputError, match="plain file name"):
        fetch(source, cache=tmp_path)


def test_cache_that_cannot_be_made_is_a_workspace_error(serve, tmp_path):
    base, _ = serve(CONTENT)
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(WorkspaceError):
        fetch(make_source(base), cache=tmp_path / "cache")


def start_child(base, cache):
    md5 = hashlib.md5(CONTENT).hexdigest()
    command = [sys.executable, "-c", FETCH_IN_A_CHILD, f"{base}/deep/w.h5", md5]
    command.append(str(cache))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in 30 s"
        time.sleep(0.01)


def test_killed_download_is_resumed_by_the_next_run(serve, tmp_path):
    base, tricks = serve(CONTENT)
    # It hangs in the middle, so that no child is too quick to be killed there.
    tricks.script, tricks.stalls_s = ["stall:400000"], 60.0
    child = start_child(base, tmp_path)

    def count_partial():
        parts = (tmp_path / "sources").rglob("*.part")
        return sum(part.stat().st_size for part in parts)

    wait_for(lambda: count_partial() > 300_000)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = count_partial()
    path = fetch(make_source(base), cache=tmp_path).path
    assert path.read_bytes() == CONTENT
    assert tricks.requests[-1]["Range"] == f"bytes={kept}-"
    assert not list((tmp_path / "sources").rglob("*.part"))


def test_two_processes_at_once_download_once(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.slowly_s = 0.02
    children = [start_child(base, tmp_path) for _ in range(2)]
    outputs = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len(tricks.requests) == 1


def test_two_threads_at_once_download_once(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.slowly_s = 0.01
    paths = []
    threads = [
        threading.Thread(
            target=lambda: paths.append(fetch(make_source(base), cache=tmp_path).path)
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 3
    assert len(set(paths)) == 1
    assert len(tricks.requests) == 1


def test_local_file_is_taken_where_it_is(tmp_path):
    (tmp_path / "own.h5").write_bytes(CONTENT)
    got = fetch(FileSource(path=str(tmp_path / "own.h5")), cache=tmp_path / "cache")
    assert got.path == tmp_path / "own.h5"
    assert got.sha256 == SHA256


def test_local_file_changed_in_place_gets_its_new_digest(tmp_path):
    path = tmp_path / "own.h5"
    path.write_bytes(b"one")
    source = FileSource(path=str(path))
    fetch(source, cache=tmp_path / "cache")
    path.write_bytes(b"two")
    got = fetch(source, cache=tmp_path / "cache")
    assert got.sha256 == hashlib.sha256(b"two").hexdigest()


def test_local_file_that_is_another_than_locked_is_refused(tmp_path):
    (tmp_path / "own.h5").write_bytes(CONTENT)
    source = FileSource(path=str(tmp_path / "own.h5"), sha256="0" * 64)
    with pytest.raises(FetchError, match=SHA256):
        fetch(source, cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["missing.h5", ".", "\0"])
def test_local_file_that_is_none_is_an_input_error(tmp_path, name):
    with pytest.raises(InputError):
        fetch(FileSource(path=f"{tmp_path}/{name}"), cache=tmp_path / "cache")
