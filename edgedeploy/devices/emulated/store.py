"""Folders in the cache that appear whole, once, however many processes want them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from edgedeploy.errors import WorkspaceError
from edgedeploy.workspace import cache_folder, json_digest, make_folder, write_json

# `inv clean --cache` empties this folder.
KIND = "emulated"
_MARK = ".complete.json"


def prepared(name: str, recipe: Mapping[str, Any], fill: Callable[[Path], Any]) -> Path:
    """Give a folder of the cache, made by `fill` the first time.

    Args:
        name: For people, such as "root-bookworm-arm64".
        recipe: JSON values that decide what is in it; another recipe is another
            folder.
        fill: Fills an empty folder, and gives facts to keep beside it, JSON values.

    Returns:
        The folder; nobody may write to it.

    Raises:
        WorkspaceError: If the cache cannot be written.
    """
    store = cache_folder() / KIND
    target = store / f"{name}-{json_digest(recipe)[:16]}"
    if (target / _MARK).is_file():
        return target
    make_folder(store)
    with _alone(store / f".{name}.lock"):
        # Another process may have made it while this one waited.
        if (target / _MARK).is_file():
            return target
        _remove_stale(store, name)
        try:
            with _incoming(store, name) as folder:
                facts = fill(folder)
                write_json(folder / _MARK, {"recipe": dict(recipe), "facts": facts})
                shutil.rmtree(target, ignore_errors=True)
                folder.rename(target)
        except OSError as error:
            raise WorkspaceError(
                f"cannot write the cache {store}: {error.strerror or error}"
            ) from error
    return target


def facts_of(folder: Path) -> Any:
    """Read what `fill` said of a folder.

    Raises:
        WorkspaceError: If the folder is damaged.
    """
    try:
        return json.loads((folder / _MARK).read_text(encoding="utf-8"))["facts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(
            f"{folder} is damaged ({error}); remove it and run again"
        ) from error


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = filelock.FileLock(path)
    try:
        lock.acquire()
    except OSError as error:
        raise WorkspaceError(
            f"{path}: {error.strerror}; make the cache writable"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _incoming(store: Path, name: str) -> Iterator[Path]:
    """Make a folder that goes away unless it was renamed."""
    folder = Path(tempfile.mkdtemp(prefix=f".incoming-{name}-", dir=store))
    # mkdtemp's 0700 would close an emulated root to all but its owner.
    folder.chmod(0o755)
    try:
        yield folder
        os.sync()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_stale(store: Path, name: str) -> None:
    """Remove what killed processes left; the lock says that none is at work."""
    for stale in store.glob(f".incoming-{name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
