import shutil

import pytest
from colour_networks import colour_networks


@pytest.fixture(scope="session")
def networks():
    """Folder of one network in many files; to be read and not changed."""
    return colour_networks()


@pytest.fixture
def own(project, networks):
    """Put a model file into a project; gives its name."""

    def put(name):
        source = networks / name
        take = shutil.copytree if source.is_dir() else shutil.copy
        take(source, project.root / name)
        return name

    return put
