"""The fixtures of tests/stages that build nothing, for tests of single commands."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "edgedeploy_build_fixtures",
    Path(__file__).parent.parent / "stages" / "conftest.py",
)
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

tiny = _fixtures.tiny
fresh_project = _fixtures.fresh_project
project = _fixtures.project
call = _fixtures.call
refused = _fixtures.refused
