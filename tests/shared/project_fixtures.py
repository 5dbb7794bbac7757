"""Whole builds of a tiny model, and commands run in this process."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import tiny_project
from commands import run_here
from kept import made_once


@pytest.fixture(scope="session")
def tiny():
    """The module that writes and runs tiny projects."""
    return tiny_project


@pytest.fixture(scope="session")
def fresh_project(tiny):
    """A project in which nothing was run yet; copy it before running anything."""
    folder = made_once(
        "fresh", lambda folder: tiny.new_project(folder / "project", folder / "home")
    )
    return tiny.Project(root=folder / "project", home=folder / "home")


@pytest.fixture
def project(fresh_project, tmp_path):
    """A project of one's own, with a cache and keys of its own."""
    copy = fresh_project.copy(tmp_path / "project")
    copy.home = tmp_path / "home"
    copy.home.mkdir()
    (copy.home / "wheels").symlink_to(fresh_project.home / "wheels")
    return copy


@pytest.fixture(scope="session")
def finished(tiny, tmp_path_factory):
    """A finished build, shared: copy it before changing anything."""

    def make(folder):
        done = tiny.new_project(folder / "project", folder / "home").build()
        assert done.returncode == 0, done.stderr

    folder = made_once("finished", make)
    # The project is only read; cache and keys are written to by every build.
    home = tmp_path_factory.mktemp("finished") / "home"
    shutil.copytree(folder / "home", home, symlinks=True)
    return tiny.Project(root=folder / "project", home=home)


@pytest.fixture(scope="module")
def lasting_cache():
    """Share what was fetched between runs, as users do; EDGEDEPLOY_CACHE moves it."""
    shared = Path(tempfile.gettempdir()) / "edgedeploy-test-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "EDGEDEPLOY_CACHE", os.environ.get("EDGEDEPLOY_CACHE", str(shared))
        )
        yield


@pytest.fixture
def built(finished, tmp_path):
    """A copy of the finished build, to change at will."""
    return finished.copy(tmp_path / "project")


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a command of a project in this process."""

    def run(project, task, *flags, **extra):
        variables = project.variables(**extra)
        for name in ("CI", "NO_COLOR", "EDGEDEPLOY_MIRROR_TINY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            if name not in ("PATH", "HOME"):
                monkeypatch.setenv(name, value)
        monkeypatch.chdir(project.root)
        return run_here(capsys, task, *flags)

    return run


@pytest.fixture
def refused(call):
    """Run a command that must fail in one line on stderr; give that line."""

    def run(project, task, *flags, code=2, **extra):
        found, _, err = call(project, task, *flags, **extra)
        assert err.count("\n") == 1, err
        assert err.endswith("\n")
        assert "Traceback" not in err
        assert (found, err) == (code, err)
        assert err.startswith(("error: ", "edgedeploy: "))
        return err

    return run
