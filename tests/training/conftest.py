import os

import gradient_check
import pytest
import small_models

# Before TensorFlow starts: it fills the screen otherwise, and looks for a GPU.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@pytest.fixture(scope="session")
def nets():
    """The module of small Keras models."""
    return small_models


@pytest.fixture(autouse=True)
def _same_weights_in_any_order():
    import keras

    keras.utils.set_random_seed(7)


@pytest.fixture(scope="session")
def gradients():
    """The module that compares gradients with TensorFlow's."""
    return gradient_check
