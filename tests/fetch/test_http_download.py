import hashlib
import random
import resource
import socket
import threading
import time
from dataclasses import replace

import pytest

from edgedeploy.errors import FetchError, InputError, WorkspaceError
from edgedeploy.fetch import Unreachable
from edgedeploy.fetch.address import check_scheme, redact, resolve_mirror
from edgedeploy.fetch.attempts import Patience
from edgedeploy.fetch.digests import Expected
from edgedeploy.fetch.http import download
from edgedeploy.specs import HttpsSource

CONTENT = random.Random(7).randbytes(700_001)
PROMISE = Expected(size_bytes=len(CONTENT), md5=hashlib.md5(CONTENT).hexdigest())
# A busy machine may keep a server from answering for a while; only what is about
# stalls is impatient.
HASTY = Patience(
    connect_s=5.0, stall_s=20.0, first_pause_s=0.01, longest_pause_s=0.02, tries=3
)


def get(
    url,
    tmp_path,
    *,
    expected=PROMISE,
    plain_http=False,
    progress=None,
    patience=HASTY,
):
    return download(
        url,
        part=tmp_path / "w.part",
        expected=expected,
        plain_http=plain_http,
        progress=progress or (lambda done, total: None),
        patience=patience,
    )


def check_whole(digests, tmp_path):
    assert (tmp_path / "w.part").read_bytes() == CONTENT
    assert digests.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_whole_file_arrives_with_its_digests_and_progress(serve, tmp_path):
    base, _ = serve(CONTENT)
    seen = []
    digests = get(f"{base}/w.h5", tmp_path, progress=lambda *a: seen.append(a))
    check_whole(digests, tmp_path)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("trick", ["truncate:200000", "stall:200000", "reset:200000"])
def test_broken_transfer_is_resumed_where_it_broke(serve, tmp_path, trick):
    base, tricks = serve(CONTENT)
    tricks.script = [trick]
    patience = replace(HASTY, stall_s=1.0) if "stall" in trick else HASTY
    check_whole(get(f"{base}/w.h5", tmp_path, patience=patience), tmp_path)
    first, second = tricks.requests
    assert "Range" not in first
    # A reset may discard what was on its way; never more than was sent.
    offset = int(second["Range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < offset <= 200_000
    assert second["If-Range"] == '"one"'


def test_partial_file_of_an_earlier_run_is_continued(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.script = ["truncate:300000", "status:404"]
    with pytest.raises(FetchError, match="404"):
        get(f"{base}/w.h5", tmp_path)
    assert (tmp_path / "w.part").stat().st_size == 300_000
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)
    assert tricks.requests[-1]["Range"] == "bytes=300000-"


def test_file_that_changed_meanwhile_is_fetched_from_its_beginning(serve, tmp_path):
    base, tricks = serve(random.Random(8).randbytes(len(CONTENT)))
    tricks.script = ["truncate:300000", "status:404"]
    with pytest.raises(FetchError):
        get(f"{base}/w.h5", tmp_path)
    tricks.content, tricks.etag = CONTENT, '"two"'
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)


def test_resumed_file_with_wrong_bytes_is_fetched_once_more(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.script = ["truncate:300000", "status:404"]
    with pytest.raises(FetchError):
        get(f"{base}/w.h5", tmp_path)
    (tmp_path / "w.part").write_bytes(b"\0" * 300_000)
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)
    assert "Range" not in tricks.requests[-1]


@pytest.mark.parametrize("trick", ["ignore_range", "status:416", "wrong_span"])
def test_server_that_cannot_resume_is_asked_for_all(serve, tmp_path, trick):
    base, tricks = serve(CONTENT)
    tricks.script = ["truncate:300000", trick]
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)


def test_complete_partial_file_needs_no_request(serve, tmp_path):
    base, tricks = serve(CONTENT)
    get(f"{base}/w.h5", tmp_path)
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)
    assert len(tricks.requests) == 1


def test_partial_file_of_another_address_is_not_continued(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.script = ["truncate:300000", "status:404"]
    with pytest.raises(FetchError):
        get(f"{base}/other.h5", tmp_path)
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)
    assert "Range" not in tricks.requests[-1]


@pytest.mark.parametrize("trick", ["corrupt", "other_size", "endless", "encoded"])
def test_wrong_bytes_are_an_error_and_not_unreachable(serve, tmp_path, trick):
    base, tricks = serve(CONTENT)
    tricks.script = [trick] * 5
    with pytest.raises(FetchError) as caught:
        get(f"{base}/w.h5", tmp_path)
    assert not isinstance(caught.value, Unreachable)
    assert "\n" not in str(caught.value)
    tricks.script = []
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)


def test_wrong_digest_names_both_and_leaves_nothing(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.script = ["corrupt"]
    with pytest.raises(
        FetchError, match=f"expected md5 {PROMISE.md5}, received [0-9a-f]"
    ):
        get(f"{base}/w.h5", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [400, 401, 404, 410])
def test_refusal_by_the_server_itself_is_not_unreachable(serve, tmp_path, code):
    base, tricks = serve(CONTENT)
    tricks.script = [f"status:{code}"]
    with pytest.raises(FetchError, match=f"HTTP {code}") as caught:
        get(f"{base}/w.h5", tmp_path)
    assert not isinstance(caught.value, Unreachable)
    assert len(tricks.requests) == 1


@pytest.mark.parametrize(
    ("code", "asked"), [(403, 1), (407, 1), (429, 3), (500, 3), (503, 3)]
)
def test_sick_server_or_proxy_is_unreachable(serve, tmp_path, code, asked):
    base, tricks = serve(CONTENT)
    tricks.script = [f"status:{code}"] * 9
    with pytest.raises(Unreachable, match=f"HTTP {code}"):
        get(f"{base}/w.h5", tmp_path)
    assert len(tricks.requests) == asked


def test_server_error_is_tried_again(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.script = ["status:500", "status:503"]
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)


def test_retry_after_is_waited_for(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.script = ["retry_after:1"]
    began = time.monotonic()
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)
    assert time.monotonic() - began >= 1.0


def test_retry_after_of_an_hour_is_not_waited_for(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.script = ["retry_after:hour"]
    with pytest.raises(Unreachable, match="503"):
        get(f"{base}/w.h5", tmp_path)


def test_breaking_again_and_again_with_progress_still_arrives(serve, tmp_path):
    base, tricks = serve(CONTENT)
    # Each answer ends 100 kB further on, more often than the tries without progress.
    tricks.script = [f"truncate:{n}00000" for n in range(1, 7)]
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)
    assert len(tricks.requests) == 7


@pytest.mark.parametrize("trick", ["truncate:0", "stall:0", "drip", "reset:0"])
def test_no_progress_ends_as_unreachable(serve, tmp_path, trick):
    base, tricks = serve(CONTENT)
    tricks.script = [trick] * 9
    # Late answers are failures as well, and it is failures that are counted.
    with pytest.raises(Unreachable):
        get(f"{base}/w.h5", tmp_path, patience=replace(HASTY, stall_s=0.3))
    assert len(tricks.requests) == 3


def test_redirect_is_followed(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.script = ["redirect:/elsewhere/w.h5"]
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)
    assert tricks.requests[-1][":path"] == "/elsewhere/w.h5"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://weights.example/w.h5", "plain http"),
        ("file:///etc/hostname", "not an https address"),
        ("ftp://weights.example/w.h5", "not an https address"),
        ("https://[::1", "cannot be followed"),
        ("", "redirects to nowhere"),
    ],
)
def test_unsafe_redirect_is_refused(serve, tmp_path, target, says):
    base, tricks = serve(CONTENT)
    tricks.script = [f"redirect:{target}"]
    with pytest.raises(FetchError, match=says):
        get(f"{base}/w.h5", tmp_path)


def test_redirects_in_a_circle_end(serve, tmp_path):
    base, tricks = serve(CONTENT)
    tricks.script = ["redirect:/w.h5"] * 50
    with pytest.raises(FetchError, match="more than 10 times"):
        get(f"{base}/w.h5", tmp_path)


def test_redirect_from_https_to_http_is_refused_even_from_a_mirror():
    with pytest.raises(FetchError, match="from https"):
        check_scheme(
            "http://127.0.0.1/w.h5", plain_http=True, previous="https://a.example/w.h5"
        )


def test_plain_http_is_for_this_machine_or_a_named_mirror():
    with pytest.raises(FetchError, match="expected https"):
        check_scheme("http://weights.example/w.h5", plain_http=False)
    check_scheme("http://weights.example/w.h5", plain_http=True)
    check_scheme("http://[::1]:8000/w.h5", plain_http=False)


def test_refused_connection_is_found_out_in_seconds(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(Unreachable, match="refused"):
            download(
                f"http://127.0.0.1:{port}/w.h5",
                part=tmp_path / "w.part",
                expected=PROMISE,
                plain_http=False,
                progress=lambda done, total: None,
            )
    assert time.monotonic() - began < 15


def test_name_lookup_that_hangs_is_left_behind(tmp_path, monkeypatch):
    released = threading.Event()

    def hang(*_, **__):
        released.wait(60)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", hang)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="no sign of life"):
        get(
            "https://weights.example/w.h5",
            tmp_path,
            patience=replace(HASTY, connect_s=0.2),
        )
    # Far from the minute that the look-up hangs.
    assert time.monotonic() - began < 30
    released.set()


def test_proxy_that_forbids_is_unreachable(serve, tmp_path, monkeypatch):
    base, _ = serve(CONTENT)
    # This server answers CONNECT with 501, as a proxy that is none.
    monkeypatch.setenv("HTTPS_PROXY", base)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(Unreachable, match="proxy"):
        get("https://weights.example/w.h5", tmp_path)


def test_read_only_cache_is_a_workspace_error(serve, tmp_path):
    base, _ = serve(CONTENT)
    (tmp_path / "w.part").mkdir()
    with pytest.raises(WorkspaceError):
        get(f"{base}/w.h5", tmp_path)


def test_full_disk_is_a_workspace_error_and_what_came_is_kept(serve, tmp_path):
    base, _ = serve(CONTENT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(WorkspaceError, match="too large"):
            get(f"{base}/w.h5", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "w.part").stat().st_size <= 200_000
    check_whole(get(f"{base}/w.h5", tmp_path), tmp_path)


def test_messages_hide_passwords_and_keys():
    url = "https://user:secret@h.example:8443/a/w.h5?key=hidden"
    assert redact(url) == "https://h.example:8443/a/w.h5"


def make_source(url="https://publisher.example/deep/path/w.h5"):
    return HttpsSource(
        url=url, filename="w.h5", md5="0" * 32, mirror_variable="EDGEDEPLOY_MIRROR_TEST"
    )


@pytest.mark.parametrize(
    ("mirror", "expected"),
    [
        ("http://mirror.example", "http://mirror.example/w.h5"),
        ("https://mirror.example/a/b/", "https://mirror.example/a/b/w.h5"),
    ],
)
def test_mirror_replaces_all_but_the_file_name(monkeypatch, mirror, expected):
    monkeypatch.setenv("EDGEDEPLOY_MIRROR_TEST", mirror)
    assert resolve_mirror(make_source()) == (expected, True)


def test_without_a_mirror_the_publisher_is_asked(monkeypatch):
    monkeypatch.delenv("EDGEDEPLOY_MIRROR_TEST", raising=False)
    assert resolve_mirror(make_source()) == (make_source().url, False)


@pytest.mark.parametrize("mirror", ["/a/folder", "ftp://m.example", "https://[::1"])
def test_mirror_that_is_no_address_is_an_input_error(monkeypatch, mirror):
    monkeypatch.setenv("EDGEDEPLOY_MIRROR_TEST", mirror)
    with pytest.raises(InputError, match="EDGEDEPLOY_MIRROR_TEST"):
        resolve_mirror(make_source())
