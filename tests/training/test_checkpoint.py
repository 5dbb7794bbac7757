"""Checkpoints: whole or not at all, and the one before when the last is damaged."""

import json
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from edgedeploy.ondevice import checkpoint as module
from edgedeploy.ondevice.checkpoint import (
    Checkpoint,
    CheckpointError,
    read_checkpoint,
    write_checkpoint,
)


def _number(n):
    return Checkpoint(
        model="m", progress={"step": n}, state={"w": np.full(50_000, n, np.float32)}
    )


def test_what_is_written_is_read(tmp_path):
    write_checkpoint(tmp_path / "c", _number(3))
    found = read_checkpoint(tmp_path / "c")
    assert (found.model, found.progress) == ("m", {"step": 3})
    assert found.state["w"].dtype == np.float32
    assert (found.state["w"] == 3).all()


def test_nothing_written_is_none(tmp_path):
    assert read_checkpoint(tmp_path / "c") is None


@pytest.mark.parametrize("keep", [0, 5, 12, 60, 400, 100_000])
def test_a_cut_file_falls_back_to_the_one_before(tmp_path, keep):
    for n in (1, 2):
        write_checkpoint(tmp_path / "c", _number(n))
    whole = (tmp_path / "c").read_bytes()
    (tmp_path / "c").write_bytes(whole[:keep])
    assert read_checkpoint(tmp_path / "c").progress == {"step": 1}


def test_a_damaged_file_does_not_push_out_the_whole_one_before(tmp_path, monkeypatch):
    for n in (1, 2):
        write_checkpoint(tmp_path / "c", _number(n))
    (tmp_path / "c").write_bytes(b"cut")
    replaced = []

    def killed(source, target):
        # The writer dies at the moment when it would put the new file in place.
        if target == tmp_path / "c":
            raise KeyboardInterrupt
        replaced.append(target)

    monkeypatch.setattr(module.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path / "c", _number(3))
    monkeypatch.undo()
    assert replaced == []
    assert read_checkpoint(tmp_path / "c").progress == {"step": 1}


def test_one_flipped_bit_is_noticed(tmp_path):
    for n in (1, 2):
        write_checkpoint(tmp_path / "c", _number(n))
    damaged = bytearray((tmp_path / "c").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "c").write_bytes(damaged)
    assert read_checkpoint(tmp_path / "c").progress == {"step": 1}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 5000,
        json.dumps({"sha256": "", "bytes": -1, "model": "", "progress": {}}).encode(),
        json.dumps({"sha256": 1, "bytes": 0, "model": "", "progress": {}}).encode(),
        b'{"sha256": "", "bytes": 1099511627776, "model": "", "progress": {}}',
    ],
)
def test_a_hostile_header_is_one_clear_error(tmp_path, header):
    (tmp_path / "c").write_bytes(b"EDTRAIN1\n" + header + b"\nrest")
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        read_checkpoint(tmp_path / "c")


def test_a_full_disk_keeps_the_one_before(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "c", _number(1))

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_checkpoint(tmp_path / "c", _number(2))
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "c").progress == {"step": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c"]


def test_without_links_the_one_before_is_copied(tmp_path, monkeypatch):
    def no_links(_source, _target):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(module.os, "link", no_links)
    for n in (1, 2):
        write_checkpoint(tmp_path / "c", _number(n))
    (tmp_path / "c").write_bytes(b"")
    assert read_checkpoint(tmp_path / "c").progress == {"step": 1}


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from edgedeploy.ondevice.checkpoint import Checkpoint, write_checkpoint
n = 0
while True:
    n += 1
    state = {"w": np.full(300_000, n, np.float32)}
    write_checkpoint(
        Path(sys.argv[1]), Checkpoint(model="m", progress={"step": n}, state=state)
    )
    if n == 2:
        print("ready", flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    moments = random.Random(5)
    for _ in range(10):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "c")],
            stdout=subprocess.PIPE,
        )
        writer.stdout.readline()
        time.sleep(moments.random() * 0.05)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        found = read_checkpoint(tmp_path / "c")
        assert (found.state["w"] == found.progress["step"]).all()
