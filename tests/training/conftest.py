import importlib.util
import os
import sys
from pathlib import Path

import pytest

# Before TensorFlow starts: it fills the screen otherwise, and looks for a GPU.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def _load(file):
    # Test folders are no packages, so their shared modules are loaded by path.
    name = f"edgedeploy_training_{file}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, Path(__file__).with_name(f"{file}.py")
        )
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def nets():
    """The module of small Keras models."""
    return _load("small_models")


@pytest.fixture(autouse=True)
def _same_weights_in_any_order():
    import keras

    keras.utils.set_random_seed(7)


@pytest.fixture(scope="session")
def gradients():
    """The module that compares gradients with TensorFlow's."""
    return _load("gradient_check")
