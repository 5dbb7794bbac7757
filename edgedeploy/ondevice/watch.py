"""Watching folders: pictures as they appear, and not before they are complete.

Folders are looked through again and again, which works on every file system, network
shares included, where the kernel's notifications do not.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .inputs import is_picture_name
from .pictures import PictureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .stop import StopRequest

# A picture that cannot be decoded may still be on its way over a slow network.
GIVE_UP_S = 10.0

# What changes when a file is written: inode, size, time of the last change in ns.
_State = tuple[int, int, int]


class FolderWatch:
    """New and changed pictures below folders.

    A picture counts as complete when it has not changed between two looks and can be
    decoded; one that cannot is tried again whenever it changes, and given up when it
    has not changed for `GIVE_UP_S`. Pictures that are there at the start are old.

    Args:
        folders: At least one.
        interval_s: Time between two looks, in seconds.

    Raises:
        PictureError: If a folder cannot be read.
    """

    def __init__(self, folders: Sequence[Path], interval_s: float) -> None:
        self._folders, self._interval_s = tuple(folders), interval_s
        # Done with, in this state; the others are on their way.
        self._done = self._look()
        self._pending: dict[Path, _Pending] = {}

    def wait(self, stop: StopRequest) -> Iterator[tuple[Path, bool]]:
        """Give pictures as they become complete, until `stop` is requested.

        Yields:
            The path, and whether an error is final: if not, call `postpone` when it
            cannot be decoded.

        Raises:
            PictureError: If a folder can no longer be read.
        """
        while not stop.wait(self._interval_s):
            found = self._look()
            self._done = {
                path: state for path, state in self._done.items() if path in found
            }
            self._pending = {
                path: one for path, one in self._pending.items() if path in found
            }
            for path in sorted(found):
                if stop.requested:
                    return
                settled = self._settle(path, found[path])
                if settled is not None:
                    yield path, settled

    def postpone(self, path: Path) -> None:
        """Say that a picture could not be decoded and may be incomplete."""
        state = self._done.pop(path)
        self._pending[path] = _Pending(state, tried=True)

    def _settle(self, path: Path, state: _State) -> bool | None:
        """Whether to try a picture now, and for the last time; None if not now."""
        if self._done.get(path) == state:
            return None
        pending = self._pending.get(path)
        if pending is None or pending.state != state:
            self._done.pop(path, None)
            self._pending[path] = _Pending(state)
            return None
        given_up = time.monotonic() - pending.since >= GIVE_UP_S
        if pending.tried and not given_up:
            return None
        del self._pending[path]
        self._done[path] = state
        return given_up

    def _look(self) -> dict[Path, _State]:
        found: dict[Path, _State] = {}
        waiting = list(self._folders)
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        self._take(entry, found, waiting)
            except OSError as error:
                # A folder below may vanish between two looks; those named may not.
                vanished = isinstance(error, (FileNotFoundError, NotADirectoryError))
                if not vanished or folder in self._folders:
                    raise PictureError(
                        f"{folder}: cannot be watched ({error.strerror})"
                    ) from error
        return found

    def _take(
        self, entry: os.DirEntry[str], found: dict[Path, _State], waiting: list[Path]
    ) -> None:
        if entry.is_dir(follow_symlinks=False):
            waiting.append(Path(entry.path))
        elif is_picture_name(entry.name):
            try:
                facts = entry.stat()
            except OSError:
                return  # Gone already, or a link to nothing yet.
            found[Path(entry.path)] = facts.st_ino, facts.st_size, facts.st_mtime_ns


class _Pending:
    """A picture that is not complete yet, as far as we know."""

    def __init__(self, state: _State, *, tried: bool = False) -> None:
        self.state, self.tried = state, tried
        self.since = time.monotonic()
