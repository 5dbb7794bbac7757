import importlib.util
import sys
from pathlib import Path

import pytest

# Test folders are no packages; one module object keeps the conversions to one each.
_NAME = "edgedeploy_flexible_networks"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        _NAME, Path(__file__).with_name("flexible_networks.py")
    )
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])


@pytest.fixture(scope="session")
def networks():
    """Tiny networks that take many sizes."""
    return sys.modules[_NAME]


_TINY = "edgedeploy_tiny_models"
if _TINY not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        _TINY, Path(__file__).parent.parent / "ondevice" / "tiny_models.py"
    )
    sys.modules[_TINY] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_TINY])


@pytest.fixture(scope="session")
def tiny():
    """What tests of bundles are made with."""
    return sys.modules[_TINY]


_PROJECT = "edgedeploy_tiny_project"
if _PROJECT not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        _PROJECT, Path(__file__).parent.parent / "stages" / "tiny_project.py"
    )
    sys.modules[_PROJECT] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_PROJECT])


@pytest.fixture(scope="session")
def project_texts():
    """The files of a user's project, and how it is built."""
    return sys.modules[_PROJECT]
