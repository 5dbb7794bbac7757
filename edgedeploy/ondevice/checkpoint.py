"""Checkpoints that a power cut cannot destroy: whole files, and the one before.

A file is the magic line, one line of JSON (SHA-256 and length of what follows, the
model's digest, where training stood), and NumPy's npz. It holds weights and counters,
never a picture.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MAGIC = b"EDTRAIN1\n"
_LONGEST_HEADER_BYTES = 1 << 24
_PREVIOUS = ".previous"
_TEMPORARY = ".partial"


class CheckpointError(ContractError):
    """A checkpoint cannot be written, or is none."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a training.

    Attributes:
        model: SHA-256 of the model file that it belongs to.
        progress: JSON values: where training stood, and how.
        state: What the model's `save` gave.
    """

    model: str
    progress: Mapping[str, Any]
    state: Mapping[str, NDArray[Any]]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, and keep the one before beside it.

    At every moment the path itself, or the one before, is a whole file.

    Args:
        path: Where to; the folder exists.
        checkpoint: What to write.

    Raises:
        CheckpointError: If the disk is full or the folder cannot be written.
    """
    packed = io.BytesIO()
    np.savez(packed, **dict(checkpoint.state))  # type: ignore[arg-type]
    body = packed.getvalue()
    header = {
        "sha256": hashlib.sha256(body).hexdigest(),
        "bytes": len(body),
        "model": checkpoint.model,
        "progress": dict(checkpoint.progress),
    }
    text = json.dumps(header).encode() + b"\n"
    try:
        _replace(path, _MAGIC + text + body)
    except OSError as error:
        raise CheckpointError(
            f"{path}: the checkpoint cannot be written "
            f"({error.strerror or error}); the one before is kept"
        ) from error


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read the newest whole checkpoint.

    Args:
        path: Where it was written.

    Returns:
        The checkpoint at the path; the one before if that is damaged; None if there
        is neither.

    Raises:
        CheckpointError: If there are files, and none of them is whole.
    """
    reasons = []
    for candidate in (path, _previous(path)):
        try:
            return _read(candidate)
        except FileNotFoundError:
            continue
        except (OSError, CheckpointError) as error:
            reasons.append(f"{candidate.name}: {error}")
    if reasons:
        raise CheckpointError(
            f"{path.parent} has no whole checkpoint ({'; '.join(reasons)}); delete "
            "them to begin anew"
        )
    return None


def _replace(path: Path, data: bytes) -> None:
    _sweep(path)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=path.name, suffix=_TEMPORARY
    )
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _keep_previous(path)
        os.replace(temporary, path)  # noqa: PTH105  (one call, as POSIX promises it)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _keep_previous(path: Path) -> None:
    """Give the present file a second name, so that it never disappears."""
    try:
        _read(path)
    except (OSError, CheckpointError):
        # A damaged file must not push out the whole one before it.
        return
    link = path.with_name(path.name + ".link" + _TEMPORARY)
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:
        # FAT, as on many memory cards, has no links: a copy does it too.
        link.write_bytes(path.read_bytes())
    os.replace(link, _previous(path))  # noqa: PTH105


def _sweep(path: Path) -> None:
    """Remove what a killed writer left."""
    for stale in path.parent.glob(f"{path.name}*{_TEMPORARY}"):
        stale.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    # Windows cannot open a folder; its rename is as safe as it gets.
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _previous(path: Path) -> Path:
    return path.with_name(path.name + _PREVIOUS)


def _read(path: Path) -> Checkpoint:
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise CheckpointError("no checkpoint")
        line = file.readline(_LONGEST_HEADER_BYTES)
        header = _read_header(line)
        # All there is: the length that the file promises may be absurd.
        body = file.read()
    if len(body) != header["bytes"]:
        raise CheckpointError(f"has {len(body)} bytes, not {header['bytes']}")
    if hashlib.sha256(body).hexdigest() != header["sha256"]:
        raise CheckpointError("its digest does not fit")
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            state = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile,
            zlib.error) as error:  # fmt: skip
        raise CheckpointError(f"its arrays cannot be read ({error})") from error
    return Checkpoint(model=header["model"], progress=header["progress"], state=state)


def _read_header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CheckpointError("its header is damaged") from error
    fields = {"sha256": str, "bytes": int, "model": str, "progress": dict}
    if not isinstance(header, dict) or not all(
        isinstance(header.get(name), kind) for name, kind in fields.items()
    ):
        raise CheckpointError("its header is damaged")
    if header["bytes"] < 0:
        raise CheckpointError("its header is damaged")
    return header
