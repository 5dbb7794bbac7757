import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hand_made_models import CLASSES, make_model, serialise


@pytest.fixture(scope="session")
def weights():
    return np.arange(48, dtype=np.float32).reshape(CLASSES, 12) / 48


@pytest.fixture(scope="session")
def float_model(weights):
    return serialise(make_model(weights=weights))


@pytest.fixture(scope="session")
def uint8_model():
    return serialise(make_model(schema.TensorType.UINT8))


@pytest.fixture(scope="session")
def flex_model():
    return serialise(make_model(custom="FlexErf"))


@pytest.fixture(scope="session")
def model_object(weights):
    return make_model(weights=weights)
