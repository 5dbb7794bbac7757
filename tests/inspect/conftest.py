import importlib.util
import sys
from pathlib import Path

import pytest

# Test folders are no packages; one module object keeps the conversion to one.
_TESTS = Path(__file__).parent.parent


def _load(name, path):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


_tiny = _load("edgedeploy_tiny_models", _TESTS / "ondevice" / "tiny_models.py")
_hand = _load("edgedeploy_hand_made_models", _TESTS / "formats" / "conftest.py")


@pytest.fixture(scope="session")
def tiny_models():
    """Paths of tiny .tflite classifiers by recipe."""
    return _tiny.tiny_models()


@pytest.fixture
def hand_made():
    """Functions that make a model of a reshape and a fully connected layer."""
    return _hand


@pytest.fixture
def write_model(tmp_path, hand_made):
    """Write a model object to a file."""

    def write(model, name="model.tflite"):
        path = tmp_path / name
        path.write_bytes(hand_made.serialise(model))
        return path

    return write
