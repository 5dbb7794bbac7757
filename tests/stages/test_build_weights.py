"""Which weights are taken, when the first are out of reach, and when never others."""

import hashlib
import http.server
import threading

import pytest

MIRROR = "EDGEDEPLOY_MIRROR_TINY"
SECOND = """
[[weights]]
name = "{name}"
summary = "{summary}"
layout = "keras"
labels = "labels.txt"
label_set = "colours"

[weights.source]
{source}

[weights.pipeline]
width = 32
height = 32

[weights.licence]
spdx = "Apache-2.0"
holder = "The edgedeploy authors"
notice = "Weights worked out by hand."
text = "licence.txt"
homepage = "https://www.apache.org/licenses/LICENSE-2.0"
"""
HEAD = """\
schema = 1
name = "tiny"
title = "Tiny colours"
architecture = "keras_file"
"""
FETCH = ("--model", "two.toml")


@pytest.fixture
def two_weights(project):
    """A model whose first weights are published where nobody answers."""
    data = (project.root / "tiny.keras").read_bytes() + b"published"
    served = project.home / "served"
    served.mkdir()
    (served / "published.keras").write_bytes(data)
    # Port 9 discards, where anything listens there at all; nobody speaks TLS.
    https = (
        'kind = "https"\nurl = "https://127.0.0.1:9/published.keras"\n'
        f'filename = "published.keras"\nmd5 = "{hashlib.md5(data).hexdigest()}"\n'
        f'mirror_variable = "{MIRROR}"'
    )
    text = HEAD
    text += SECOND.format(name="first", summary="published", source=https)
    text += SECOND.format(
        name="second", summary="at hand", source='kind = "file"\npath = "tiny.keras"'
    )
    (project.root / "two.toml").write_text(text, encoding="utf-8")
    return project


@pytest.fixture
def mirror(two_weights):
    """The first weights, served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(two_weights.home / "served"))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def locked_name(project):
    import tomlkit

    document = tomlkit.parse(project.lock.read_text("utf-8"))
    return document["models"]["tiny"]["weights"]["name"]


def test_fallback_is_said_in_one_line_and_locked(two_weights, call):
    code, out, _ = call(two_weights, "fetch", *FETCH, COLUMNS="400")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("warning: ")]
    assert "first weights cannot be reached" in line
    assert "building second instead (at hand)" in line
    assert "--weights first" in line
    assert locked_name(two_weights) == "second"


def test_locked_fallback_is_neither_said_again_nor_left(two_weights, mirror, call):
    assert call(two_weights, "fetch", *FETCH, "--offline")[0] == 0
    code, out, _ = call(two_weights, "fetch", *FETCH, **{MIRROR: mirror})
    assert code == 0
    assert "warning" not in out
    assert "second" in out
    assert locked_name(two_weights) == "second"


def test_reachable_first_weights_are_taken_and_locked(two_weights, mirror, call):
    code, out, _ = call(two_weights, "fetch", *FETCH, **{MIRROR: mirror})
    assert code == 0
    assert "warning" not in out
    assert locked_name(two_weights) == "first"
    # From then on the cache serves them, with nobody to ask.
    code, out, _ = call(two_weights, "fetch", *FETCH, "--offline")
    assert code == 0
    assert "first" in out


def test_update_lock_looks_for_the_first_weights_again(two_weights, mirror, call):
    assert call(two_weights, "fetch", *FETCH, "--offline")[0] == 0
    flags = (*FETCH, "--update-lock")
    code, out, _ = call(two_weights, "fetch", *flags, COLUMNS="400", **{MIRROR: mirror})
    assert code == 0
    assert "edgedeploy.lock: weights of tiny changed" in out
    assert locked_name(two_weights) == "first"


def test_named_weights_replace_locked_ones_with_a_warning(two_weights, mirror, call):
    assert call(two_weights, "fetch", *FETCH, "--offline")[0] == 0
    flags = (*FETCH, "--weights", "first")
    code, out, _ = call(two_weights, "fetch", *flags, COLUMNS="400", **{MIRROR: mirror})
    assert code == 0
    assert out.count("warning: ") == 1
    assert "name locked second, found first" in out
    assert locked_name(two_weights) == "first"


@pytest.mark.parametrize(
    ("flags", "variables"),
    [
        (("--strict",), {}),
        ((), {"CI": "true"}),
        (("--weights", "first"), {}),
        (("--weights", "auto", "--strict"), {}),
    ],
    ids=["strict", "CI", "pinned", "auto and strict"],
)
def test_no_fallback_means_an_error_with_the_ways_on(
    two_weights, refused, flags, variables
):
    flags = (*FETCH, "--offline", *flags)
    line = refused(two_weights, "fetch", *flags, code=1, **variables)
    assert MIRROR in line
    assert "--weights PATH" in line
    assert "--model" in line or "--weights NAME" in line
    assert not two_weights.lock.exists()


def test_pinned_weights_out_of_reach_name_the_address(two_weights, refused):
    line = refused(two_weights, "fetch", *FETCH, "--weights", "first", code=1)
    assert "https://127.0.0.1:9/published.keras" in line
    # Said once, not by each layer that passes the error on.
    assert line.count(MIRROR) == 1
    assert line.count("Ways on") == 1


def test_ci_with_a_choice_falls_back_as_asked(two_weights, call):
    flags = (*FETCH, "--offline", "--weights", "auto")
    code, out, _ = call(two_weights, "fetch", *flags, CI="true", COLUMNS="400")
    assert code == 0
    assert "building second instead" in out


def test_own_file_is_taken_and_locked(project, tiny, call, refused):
    own = project.root / "mine.keras"
    own.write_bytes((project.root / "tiny.keras").read_bytes() + b"mine")
    flags = ("--model", "tiny.toml")
    code, out, _ = call(project, "fetch", *flags, "--weights", "mine.keras")
    assert code == 0
    assert "Tiny colours mine" in out
    assert locked_name(project) == "mine"
    # Without the flag the locked file is unknown; the model's own is not taken.
    line = refused(project, "fetch", *flags, code=1)
    assert "pins weights mine" in line
    assert "--update-lock" in line
    assert call(project, "fetch", *flags, "--update-lock")[0] == 0
    assert locked_name(project) == "colours"


def test_cached_locked_weights_gone_offline_is_an_error(
    two_weights, mirror, call, refused
):
    import shutil

    assert call(two_weights, "fetch", *FETCH, **{MIRROR: mirror})[0] == 0
    shutil.rmtree(two_weights.home / "cache")
    line = refused(two_weights, "fetch", *FETCH, "--offline", code=1)
    assert "edgedeploy.lock pins Tiny colours first" in line
    assert locked_name(two_weights) == "first"


def test_other_bytes_under_the_locked_name_are_refused(
    two_weights, mirror, call, refused
):
    import shutil

    assert call(two_weights, "fetch", *FETCH, **{MIRROR: mirror})[0] == 0
    shutil.rmtree(two_weights.home / "cache")
    served = two_weights.home / "served" / "published.keras"
    served.write_bytes(b"x" + served.read_bytes()[1:])
    refused(two_weights, "fetch", *FETCH, code=1, **{MIRROR: mirror})
    assert locked_name(two_weights) == "first"


def test_digest_that_the_model_file_changes_is_held_against_the_lock(
    two_weights, mirror, call, refused
):
    assert call(two_weights, "fetch", *FETCH, **{MIRROR: mirror})[0] == 0
    served = two_weights.home / "served" / "published.keras"
    old, new = served.read_bytes(), b"x" + served.read_bytes()
    served.write_bytes(new)
    model = two_weights.root / "two.toml"
    was = f'md5 = "{hashlib.md5(old).hexdigest()}"'
    now = f'sha256 = "{hashlib.sha256(new).hexdigest()}"'
    model.write_text(model.read_text("utf-8").replace(was, now), encoding="utf-8")
    line = refused(two_weights, "fetch", *FETCH, code=1, **{MIRROR: mirror})
    assert "pins another weights" in line
    assert "sha256" in line
