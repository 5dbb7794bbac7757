"""Ending cleanly: SIGINT and SIGTERM as a request that work can wait on."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Turns the first SIGINT or SIGTERM into a flag; a second one ends the program.

    Work is never interrupted in the middle of an answer: it looks at the flag between
    two answers, and whatever waits is woken. Outside the main thread, where Python
    takes no signals, the flag stays down.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}
        self._previous_wakeup = -1
        self._read_end, self._write_end = -1, -1

    def __enter__(self) -> StopRequest:
        """Take the signals."""
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        if threading.current_thread() is threading.main_thread():
            # The interpreter writes a byte there at once, so that no signal can fall
            # between looking at the flag and going to sleep.
            self._previous_wakeup = signal.set_wakeup_fd(
                self._write_end, warn_on_full_buffer=False
            )
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        if self._previous:
            signal.set_wakeup_fd(self._previous_wakeup)
            for number, handler in self._previous.items():
                signal.signal(number, handler)
            self._previous.clear()
        os.close(self._read_end)
        os.close(self._write_end)

    def wait(self, seconds: float) -> bool:
        """Sleep until the time is over or a signal comes.

        Args:
            seconds: At least 0.

        Returns:
            Whether the program is to end.
        """
        self.wait_for(None, seconds)
        return self.requested

    def wait_for(self, descriptor: int | None, seconds: float | None) -> bool:
        """Wait until a file can be read.

        Args:
            descriptor: Its number, or None to wait for nothing but the time.
            seconds: Time allowed, or None for any.

        Returns:
            True if it can be read, False when the time is over or a signal came.
        """
        watched = (
            [self._read_end] if descriptor is None else [self._read_end, descriptor]
        )
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.requested:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select(watched, [], [], left)
            if self._read_end in ready:
                # Any signal with a handler wakes us; only ours raise the flag.
                with contextlib.suppress(BlockingIOError):
                    os.read(self._read_end, 512)
                continue
            return bool(ready)
        return False

    def _take(self, number: int, _frame: Any) -> None:
        self.requested = True
        # Whoever asks twice does not want to wait for the current picture.
        signal.signal(number, signal.SIG_DFL)
