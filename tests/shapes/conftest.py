import importlib.util
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent.parent


def _load(name, path):
    """Test folders are no packages; one module object keeps the conversions to one."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def networks():
    """Tiny networks that take many sizes."""
    path = _TESTS / "shapes" / "flexible_networks.py"
    return _load("edgedeploy_flexible_networks", path)


@pytest.fixture(scope="session")
def tiny():
    """What tests of bundles are made with."""
    return _load("edgedeploy_tiny_models", _TESTS / "ondevice" / "tiny_models.py")


@pytest.fixture(scope="session")
def project_texts():
    """The files of a user's project, and how it is built."""
    return _load("edgedeploy_tiny_project", _TESTS / "stages" / "tiny_project.py")
