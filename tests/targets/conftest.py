import importlib.util
import sys
from pathlib import Path

import pytest

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
