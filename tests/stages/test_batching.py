"""The best batch: measured when asked for, frozen in the lock, taken from there."""

import pytest
import tomlkit

from edgedeploy.errors import InputError
from edgedeploy.isolate import silent
from edgedeploy.lockfile import Lock
from edgedeploy.stages import batching
from edgedeploy.stages.batching import (
    benchmark_batches,
    locked_batches,
    measured_batches,
)
from edgedeploy.stages.context import Context, Options
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import Workspace


class Notes:
    """A voice that remembers."""

    def __init__(self):
        self.lasting, self.notes = [], []

    def step(self, _what):
        import contextlib

        return contextlib.nullcontext(silent)

    def note(self, line):
        self.notes.append(line)

    def warn(self, line, *, lasting=True):
        self.notes.append(line)


@pytest.fixture
def measured(monkeypatch):
    """What the clock says, which a test may change: it is what differs between runs."""
    found = {"best_batch": 4}

    def measure(model, **arguments):
        found.setdefault("calls", []).append((model, arguments["tolerance"]))
        return {"best_batch": found["best_batch"], "batches": {}}

    monkeypatch.setattr(batching, "measure_batches", measure)
    return found


def context(root, **options):
    workspace = Workspace(root=root, model="tiny")
    workspace.folder.mkdir(parents=True, exist_ok=True)
    return Context(options=Options(**options), workspace=workspace, voice=Notes())


def variant(recipe="int8", dtype="uint8", sha256="a" * 64):
    return Variant(
        recipe=recipe,
        path=None,
        sha256=sha256,
        facts={"output": {"dtype": dtype}},
    )


def lock(root):
    text = (root / "edgedeploy.lock").read_text("utf-8")
    return tomlkit.parse(text).unwrap()["models"]["tiny"]


def test_best_batch_is_frozen_for_each_variant(tmp_path, measured):
    here = context(tmp_path)
    variants = [variant(), variant("float32", "float32", "b" * 64)]
    assert locked_batches(here, variants) == {"int8": 1, "float32": 1}
    benchmark_batches(here, variants)
    assert lock(tmp_path) == {"batch-float32": 4, "batch-int8": 4}
    assert locked_batches(here, variants) == {"int8": 4, "float32": 4}
    # Bit for bit where the output is quantised.
    assert [tolerance for _, tolerance in measured["calls"]] == [0.0, 1e-6]


def test_another_run_of_the_clock_does_not_change_what_is_delivered(tmp_path, measured):
    benchmark_batches(context(tmp_path), [variant()])
    measured["best_batch"] = 8
    # Another model makes the stage run again.
    here = context(tmp_path)
    found = benchmark_batches(here, [variant(sha256="c" * 64)])
    assert found["variants"]["int8"]["best_batch"] == 8
    assert found["variants"]["int8"]["locked_batch"] == 4
    assert locked_batches(here, [variant()]) == {"int8": 4}
    assert "pins batch 4 for int8; found 8" in here.voice.notes[0]


def test_update_lock_takes_the_new_one(tmp_path, measured):
    benchmark_batches(context(tmp_path), [variant()])
    measured["best_batch"] = 8
    here = context(tmp_path, update_lock=True)
    benchmark_batches(here, [variant(sha256="c" * 64)])
    assert locked_batches(here, [variant()]) == {"int8": 8}


def test_same_models_are_not_measured_again(tmp_path, measured):
    benchmark_batches(context(tmp_path), [variant()])
    benchmark_batches(context(tmp_path), [variant()])
    assert len(measured["calls"]) == 1


def test_figures_of_other_models_are_not_shown(tmp_path, measured):
    here = context(tmp_path)
    assert measured_batches(here, {"int8": "a" * 64}) is None
    benchmark_batches(here, [variant()])
    shown = measured_batches(here, {"int8": "a" * 64})
    assert shown["int8"]["best_batch"] == shown["int8"]["locked_batch"] == 4
    assert measured_batches(here, {"int8": "c" * 64}) is None
    assert measured["calls"]


@pytest.mark.parametrize("value", [0, 1000, "four", [4]])
def test_impossible_value_in_the_lock_is_named(tmp_path, value):
    here = context(tmp_path)
    Lock(path=tmp_path / "edgedeploy.lock", model="tiny").settle("batch-int8", value)
    with pytest.raises(InputError, match=r"edgedeploy\.lock: batch-int8: batch must"):
        locked_batches(here, [variant()])
