"""What a build says of packages that are not to be shipped as they are."""

import contextlib
from pathlib import Path

import pytest

from edgedeploy.isolate import silent
from edgedeploy.stages.android_warnings import warn_of_android
from edgedeploy.stages.context import Context, Options
from edgedeploy.workspace import Workspace


class Voice:
    """A voice that remembers."""

    def __init__(self):
        self.lasting = []

    @contextlib.contextmanager
    def step(self, _what):
        yield silent

    def note(self, line):
        raise AssertionError(line)

    def warn(self, line, *, lasting=True):
        self.lasting += [line] if lasting else []


def warnings(root, **options):
    voice = Voice()
    workspace = Workspace(root=root, model="tiny")
    context = Context(options=Options(**options), workspace=workspace, voice=voice)
    warn_of_android(context)
    return voice.lasting


@pytest.mark.parametrize("kind", ["aab", "update"])
def test_the_debug_key_is_named_where_it_must_not_ship(tmp_path, kind):
    (line,) = warnings(tmp_path, android_kinds=("assets", "apk", kind))
    assert "debug key" in line
    assert "--keystore" in line
    own = Path("release.p12")
    assert warnings(tmp_path, android_kinds=(kind,), keystore=own) == []


def test_a_library_without_classes_is_said_aloud(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (line,) = warnings(tmp_path, android_kinds=("aar",))
    assert "no classes" in line
    assert warnings(tmp_path) == []
