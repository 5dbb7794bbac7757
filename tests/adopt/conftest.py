import shutil
import subprocess
import sys

import foreign_networks
import pytest
from colour_networks import colour_networks

from edgedeploy.environments.install import FOLDER, find
from edgedeploy.environments.table import ENVIRONMENTS
from edgedeploy.workspace import cache_folder


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


@pytest.fixture(scope="session")
def environments():
    """Folder of the converters' environments, in your own cache: they are gigabytes."""
    program = (sys.executable, "-m", "edgedeploy")
    for environment in ENVIRONMENTS.values():
        done = subprocess.run(
            [*program, "doctor", "--json", "--install", environment.name],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return cache_folder() / FOLDER


@pytest.fixture(scope="session")
def foreign_network(environments, tmp_path_factory):
    """Make the network in another framework; gives the file."""

    def make(kind):
        path = tmp_path_factory.mktemp(kind) / {"onnx": "net.onnx"}.get(kind, "net.pt2")
        python = find(ENVIRONMENTS[kind]).python
        subprocess.run([python, foreign_networks.__file__, kind, path], check=True)
        return path

    return make
