import importlib.util
import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def pictures():
    """The folder of awkward pictures."""
    return HERE.parent / "data" / "pictures"


@pytest.fixture(scope="session")
def real():
    """The module that asks the real libraries; here for its pictures and digests."""
    spec = importlib.util.spec_from_file_location(
        "edgedeploy_real_libraries", HERE / "real_libraries.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def recorded():
    """What the real libraries gave when they were last asked."""
    return json.loads((HERE / "recorded.json").read_text(encoding="utf-8"))


@pytest.fixture
def emulated(real):
    """Digests of what an emulation gives for every case."""

    def run(scale):
        return {
            real.name(case): real.digest(scale(real.picture(*case[:2]), case[:1:-1]))
            for case in real.CASES
        }

    return run
