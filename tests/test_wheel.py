"""The wheel, installed in an empty folder, is the whole program."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import tiny_project as tiny

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout; its build backend comes from the registry."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q"]
    done = subprocess.run(
        [*command, "-w", str(folder), str(ROOT)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("edgedeploy-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A virtual environment with the wheel; its dependencies are borrowed."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # A plain line adds the folder alone: an editable checkout in it stays unseen.
    borrowed = sysconfig.get_path("purelib")
    (site / "borrowed.pth").write_text(f"{borrowed}\n", encoding="utf-8")
    return folder


@pytest.fixture
def project(installed, tmp_path):
    """A project that knows the installed program and no checkout."""

    class Installed(tiny.Project):
        def command(self, task, *flags):
            return [str(installed / "bin" / "edgedeploy"), task, *flags]

        def variables(self, **extra):
            variables = super().variables(**extra)
            del variables["PYTHONPATH"]
            return variables

    made = tiny.new_project(tmp_path / "empty", tmp_path / "home")
    return Installed(root=made.root, home=made.home)


def test_wheel_carries_models_and_templates_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = "edgedeploy/_resources/"
    assert f"{inside}models/inception_v3.toml" in names
    assert f"{inside}models/efficientnet_lite0.toml" in names
    assert any(name.startswith(f"{inside}models/samples/evaluation/") for name in names)
    assert f"{inside}android_assets/apk/AndroidManifest.xml" in names
    package = ROOT / "edgedeploy"
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert f"edgedeploy/{path.relative_to(package).as_posix()}" in names
    assert not any(name.startswith("tests/") for name in names)


def test_installed_program_finds_its_resources_in_the_wheel(installed, project):
    where = (
        "import edgedeploy; from edgedeploy.resources import resource_folder as find;"
        "print(find('models'), find('android_assets'), edgedeploy.__file__, sep='\\n')"
    )
    done = subprocess.run(
        [installed / "bin" / "python", "-c", where],
        cwd=project.root,
        env=project.variables(),
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        assert Path(line).is_relative_to(installed)


def test_installed_program_lists_models(project):
    done = project.run("models")
    assert done.returncode == 0, done.stderr
    assert "inception_v3" in done.stdout
    assert "efficientnet_lite0" in done.stdout


def test_installed_program_builds_in_an_empty_folder(project):
    done = project.build("--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["model"] == "tiny"
    assert project.apk.is_file()
    assert project.bundle().is_file()
    assert (project.folder / "report.html").is_file()
    done = project.build("--json")
    assert json.loads(done.stdout)["ran"] == []


def test_installed_program_builds_from_a_read_only_installation(installed, project):
    """Nothing may be written beside the code: systems install it for all users."""
    before = {
        path: path.stat().st_mtime_ns
        for path in installed.rglob("*")
        if "__pycache__" not in path.parts
    }
    done = project.run("fetch", "--model", "tiny.toml")
    assert done.returncode == 0, done.stderr
    after = {
        path: path.stat().st_mtime_ns
        for path in installed.rglob("*")
        if "__pycache__" not in path.parts and path in before
    }
    folders = {path for path in before if path.is_dir()}
    assert {p: t for p, t in after.items() if p not in folders} == {
        p: t for p, t in before.items() if p not in folders
    }


def test_borrowed_environment_is_not_this_checkout(installed):
    """The tests above would prove nothing if the checkout could be imported."""
    done = subprocess.run(
        [installed / "bin" / "python", "-c", "import sys; print(*sys.path, sep='\\n')"],
        cwd=installed,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(ROOT) not in done.stdout.splitlines()
    assert shutil.which("edgedeploy", path=str(installed / "bin"))
