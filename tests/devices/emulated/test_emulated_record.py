import json

import pytest

from edgedeploy.stages.pi_levels import add_levels, read_levels, record_levels
from edgedeploy.workspace import Workspace, file_digest

BELOW = "pi/tiny.tar.gz"


def level(passed, name="int8 on cortex-a72"):
    checks = [{"level": "emulated", "name": name, "passed": passed, "detail": "d"}]
    return {"passed": passed, "checks": checks, "detail": "d", "seconds": 2.0}


MISSING = {"passed": None, "checks": [], "detail": "not run: x", "seconds": 0.0}
HOST = {"level": "host", "name": "h", "passed": True, "detail": "", "path": BELOW}


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(root=tmp_path, model="tiny")
    (made.folder / "pi").mkdir(parents=True)
    (made.folder / BELOW).write_bytes(b"bundle")
    return made


def record(workspace, **levels):
    return record_levels(workspace, workspace.folder / BELOW, levels)


def read(workspace):
    return read_levels(workspace, BELOW, file_digest(workspace.folder / BELOW))


def test_levels_lie_beside_the_build(workspace):
    path = record(workspace, a=level(True), b=MISSING)
    assert path == workspace.folder / ".verification" / "pi-levels-tiny.tar.gz.json"
    assert read(workspace)["a"]["passed"] is True
    assert read(workspace)["b"]["passed"] is None


def test_levels_of_other_bytes_do_not_count(workspace):
    record(workspace, a=level(True))
    (workspace.folder / BELOW).write_bytes(b"another")
    assert read(workspace) is None


def test_level_that_was_found_earlier_stays_until_it_is_run_again(workspace):
    record(workspace, b=level(True), c=MISSING)
    record(workspace, b=MISSING, c=level(True))
    assert [read(workspace)[name]["passed"] for name in "bc"] == [True, True]
    record(workspace, b=level(False), c=MISSING)
    assert [read(workspace)[name]["passed"] for name in "bc"] == [False, True]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', "\udcff", "null"])
def test_damaged_record_counts_as_none(workspace, text):
    path = record(workspace, a=level(True))
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert read(workspace) is None


def test_measured_json_is_brought_up_to_date(workspace):
    measured = workspace.folder / "measured.json"
    before = {"passed": True, "levels": {}, "checks": [HOST]}
    measured.write_text(json.dumps({"schema": 1, "verification": before}))
    record(workspace, a=level(True), b=level(True), c=MISSING)
    found = json.loads(measured.read_text())["verification"]
    assert found["levels"]["emulated"] == {"passed": True, "checks": 1, "not_run": 1}
    assert found["levels"]["host"]["passed"] is True
    assert found["pi_levels"][BELOW]["b"] == {
        "passed": True,
        "detail": "d",
        "seconds": 2.0,
    }
    assert found["pi_levels"][BELOW]["c"]["passed"] is None


def test_failed_level_fails_the_verification(workspace):
    verification = {"passed": True, "levels": {}, "checks": [HOST]}
    found = add_levels(verification, {BELOW: {"b": level(False)}})
    assert found["passed"] is False
    assert found["levels"]["emulated"]["passed"] is False


def test_level_of_which_nothing_ran_has_not_passed():
    verification = {"passed": True, "levels": {}, "checks": [HOST]}
    found = add_levels(verification, {BELOW: {"b": MISSING, "c": MISSING}})
    assert found["levels"]["emulated"] == {"passed": None, "checks": 0, "not_run": 2}


def test_newer_findings_replace_older_ones():
    once = add_levels(
        {"passed": True, "levels": {}, "checks": [HOST]}, {BELOW: {"b": level(False)}}
    )
    twice = add_levels(once, {BELOW: {"b": level(True)}})
    assert [check["passed"] for check in twice["checks"]] == [True, True]
    assert twice["passed"] is True
