"""What every test may rely on."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import tiny_models as tiny
from kept import begin_run
from kotlin_compiler import fetch_kotlin

from edgedeploy.resources import resource_folder

pytest_plugins = ["project_fixtures"]

KOTLIN = "2.4.20"

# A shell that starts a job in the background has it ignore Ctrl-C, and so would every
# program that the tests start and then interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """Begin the run; pytest-xdist's processes inherit it."""
    if not hasattr(config, "workerinput"):
        begin_run()


@pytest.fixture(scope="session")
def tiny_models():
    """Paths of tiny .tflite classifiers by recipe: float32, dynamic_int8, int8."""
    return tiny.tiny_models()


@pytest.fixture(scope="session")
def tiny_payload(tiny_models):
    """The payload of the tiny classifiers."""
    return tiny.build_tiny_payload(tiny_models)


@pytest.fixture
def tiny_bundle(tiny_payload, tmp_path):
    """A freshly unpacked bundle."""
    return tiny.unpack(tiny_payload, tmp_path / "bundle")


@pytest.fixture(scope="session")
def kotlinc():
    """Kotlin's compiler: the machine's, or npm's, kept between runs."""
    found = shutil.which("kotlinc") if shutil.which("java") else None
    return Path(found) if found else fetch_kotlin(KOTLIN)


@pytest.fixture(scope="session")
def compile_kotlin(kotlinc, tmp_path_factory):
    """Compile Kotlin with a folder of what apps take over; gives the jar.

    The compiler warns of nothing, or the test fails.
    """

    def run(*programs, library="kotlin"):
        jar = tmp_path_factory.mktemp("kotlin") / "program.jar"
        sources = sorted((resource_folder("android_assets") / library).glob("*.kt"))
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
