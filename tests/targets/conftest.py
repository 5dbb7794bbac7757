import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

from edgedeploy.resources import resource_folder

KOTLIN = "kotlin-compiler@2.4.20"

# Test folders are no packages; one module object keeps the conversion to one.
_NAME = "edgedeploy_tiny_models"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        _NAME, Path(__file__).parent.parent / "ondevice" / "tiny_models.py"
    )
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])


@pytest.fixture(scope="session")
def tiny_models():
    """Paths of tiny .tflite classifiers by recipe."""
    return sys.modules[_NAME].tiny_models()


@pytest.fixture(scope="session")
def tiny_payload(tiny_models):
    """The payload of the tiny classifiers."""
    return sys.modules[_NAME].build_tiny_payload(tiny_models)


@pytest.fixture
def tiny_bundle(tiny_payload, tmp_path):
    """A freshly unpacked bundle."""
    return sys.modules[_NAME].unpack(tiny_payload, tmp_path / "bundle")


@pytest.fixture(scope="session")
def kotlinc():
    """Kotlin's compiler: the machine's, or npm's, kept between runs."""
    if not shutil.which("java"):
        pytest.skip("needs Java: apt-get install default-jre-headless")
    found = shutil.which("kotlinc")
    if found:
        return Path(found)
    if not shutil.which("npm"):
        pytest.skip("needs kotlinc on PATH, or npm to fetch it: apt-get install npm")
    folder = Path(tempfile.gettempdir()) / "edgedeploy-test-kotlin"
    folder.mkdir(exist_ok=True)
    program = folder / "node_modules" / "kotlin-compiler" / "bin" / "kotlinc"
    with FileLock(folder / ".lock"):
        if not program.is_file():
            done = subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", KOTLIN],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"npm does not give {KOTLIN}: {done.stderr.strip()[-200:]}")
    return program


@pytest.fixture(scope="session")
def compile_kotlin(kotlinc, tmp_path_factory):
    """Compile a program with the Kotlin that apps take over; gives the jar."""

    def run(*programs):
        jar = tmp_path_factory.mktemp("kotlin") / "program.jar"
        sources = sorted((resource_folder("android_assets") / "kotlin").glob("*.kt"))
        done = subprocess.run(
            [
                *("bash", kotlinc, "-Werror", "-include-runtime", "-d", jar),
                *programs,
                *sources,
            ],
            env={**os.environ, "JAVA_OPTS": "-Xmx1g"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return jar

    return run
