"""What every test may rely on."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import hypothesis
import pytest
import tiny_models as tiny
from kept import begin_run
from kotlin_compiler import fetch_kotlin

from edgedeploy.resources import resource_folder

pytest_plugins = ["project_fixtures"]

KOTLIN = "2.4.20"

# The same examples in every run, and none that fails for being slow on a busy machine.
hypothesis.settings.register_profile(
    "edgedeploy",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("edgedeploy")

# Whole seconds of work each, the longest first: begun last, one of them would keep one
# process busy while the others have nothing left to do.
LONGEST = (
    "real/test_real_weights.py",
    "stages/test_build_stages.py",
    "stages/test_build_input.py",
    "evaluate/test_engine.py",
    "stages/test_mixing.py",
    "stages/test_build_together.py",
    "targets/test_golden_vectors.py",
    "shapes/test_resizing.py",
    "stages/test_build_tampered.py",
    "report/test_report_page.py",
    "cli/test_cli_flags.py",
    "cli/test_cli_output.py",
    "quantize/test_converter.py",
    "convert/test_convert_refusals.py",
    "targets/test_android_kinds.py",
    "fetch/test_registry_clients.py",
    "stages/test_build_lock.py",
    "training/test_export.py",
    "devices/adb/test_adb_tasks.py",
    "targets/test_android_check.py",
    "fetch/test_published_weights.py",
    "ondevice/test_bundle.py",
    "targets/test_pi_bundle.py",
    "targets/test_pi_wheelhouse.py",
    "training/test_gradients.py",
    "adopt/test_look_tflite.py",
    "architectures/test_efficientnet_lite0.py",
    "architectures/test_layers_model.py",
)

# A shell that starts a job in the background has it ignore Ctrl-C, and so would every
# program that the tests start and then interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """Begin the run; pytest-xdist's processes inherit it."""
    if not hasattr(config, "workerinput"):
        begin_run()
        # It would begin with the files that have most tests; see LONGEST.
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest."""
    here = Path(__file__).parent
    rank = {here / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


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
