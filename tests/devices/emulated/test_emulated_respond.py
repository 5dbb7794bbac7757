"""What both sides of the comparison run, run here: the bundle's code and our own."""

import hashlib
import json
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from edgedeploy.devices.emulated import respond
from edgedeploy.devices.emulated.answers import read_answers


@pytest.fixture(scope="module")
def opened(hollow_bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("opened")
    with tarfile.open(hollow_bundle()) as archive:
        archive.extractall(folder)
    return next(path for path in folder.iterdir() if path.is_dir())


def test_a_bundles_own_code_answers_as_ours(opened, tmp_path):
    rgb = np.random.default_rng(5).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    contract = json.loads((opened / "contract.json").read_text(encoding="utf-8"))
    height, width = contract["pipeline"]["height"], contract["pipeline"]["width"]
    rgb = np.resize(rgb, (height, width, 3))
    np.save(tmp_path / "other.npy", rgb)
    arguments = {
        "folder": str(opened),
        "pictures": [str(tmp_path / "other.npy")],
        "golden": 2,
        "inner": {},
    }
    ours, theirs = tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl"
    respond.respond(**arguments, package=respond.HERE, reply=str(ours))
    asked = {**arguments, "package": respond.ON_DEVICE, "reply": str(theirs)}
    (tmp_path / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    # The program alone, beside nothing of ours but the bundle.
    program = tmp_path / "respond.py"
    program.write_bytes(respond.PROGRAM.read_bytes())
    subprocess.run(
        [sys.executable, "-c", _ALONE, program, opened, tmp_path / "asked.json"],
        check=True,
        timeout=120,
    )
    assert ours.read_bytes() == theirs.read_bytes()
    answers = read_answers(ours)
    assert all(len(found) == 3 for found in answers.values())
    sums = {json.loads(line)["rgb_sha256"] for line in ours.read_text().splitlines()}
    assert hashlib.sha256(rgb.tobytes()).hexdigest() in sums


_ALONE = """
import runpy, sys
program, bundle, asked = sys.argv[1:]
sys.path.insert(0, bundle)
sys.argv = [program, asked]
runpy.run_path(program, run_name="__main__")
assert not any(name.startswith("edgedeploy") for name in sys.modules)
"""
