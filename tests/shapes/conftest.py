import flexible_networks
import pytest
import tiny_models
import tiny_project


@pytest.fixture(scope="session")
def networks():
    """Tiny networks that take many sizes."""
    return flexible_networks


@pytest.fixture(scope="session")
def tiny():
    """What tests of bundles are made with."""
    return tiny_models


@pytest.fixture(scope="session")
def project_texts():
    """The files of a user's project, and how it is built."""
    return tiny_project
