import hand_made_models
import pytest


@pytest.fixture
def hand_made():
    """Functions that make a model of a reshape and a fully connected layer."""
    return hand_made_models


@pytest.fixture
def write_model(tmp_path, hand_made):
    """Write a model object to a file."""

    def write(model, name="model.tflite"):
        path = tmp_path / name
        path.write_bytes(hand_made.serialise(model))
        return path

    return write
