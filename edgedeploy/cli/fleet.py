"""A table with one row a host, which moves on a terminal."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgedeploy.cli.console import Speaker
from edgedeploy.devices.ssh.hosts import Host
from edgedeploy.devices.ssh.outcome import Outcome


class FleetBoard:
    """Shows what each host is doing, and in the end what came of it.

    Args:
        speaker: Where to.
        what: The task, in a word.
        hosts: All of them, in the order of the rows.
    """

    def __init__(self, speaker: Speaker, what: str, hosts: Sequence[Host]) -> None:
        self._speaker = speaker
        self._what = what
        self._states = dict.fromkeys(hosts, "waiting")
        self._outcomes: dict[Host, Outcome] = {}
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._moving = speaker.console.is_terminal and not speaker.plain

    def __enter__(self) -> FleetBoard:
        if self._moving:
            self._stack.enter_context(
                Live(
                    console=self._speaker.console,
                    get_renderable=self._table,
                    refresh_per_second=5,
                    transient=True,
                )
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def state(self, host: Host, text: str) -> None:
        """Take what a host is doing; called from its thread."""
        with self._lock:
            self._states[host] = text

    def finish(self, outcome: Outcome) -> Outcome:
        """Take what came of a host."""
        with self._lock:
            self._outcomes[outcome.host] = outcome
        if not self._moving and len(self._states) > 1:
            word = "passed" if outcome.passed else "FAILED"
            self._speaker.console.print(
                Text(f"{outcome.host.name}: {self._what} {word}")
            )
        return outcome

    def print_table(self, outcomes: Sequence[Outcome]) -> None:
        """Show what came of every host."""
        with self._lock:
            self._outcomes = {one.host: one for one in outcomes}
        self._speaker.console.print(self._table())

    def _table(self) -> Table:
        grid = Table(box=None, pad_edge=False)
        grid.add_column("host", no_wrap=True)
        grid.add_column("board", overflow="fold")
        grid.add_column("system", overflow="fold")
        grid.add_column(self._what, overflow="fold")
        with self._lock:
            for host, state in self._states.items():
                outcome = self._outcomes.get(host)
                # Text, not markup: a host's own words are shown as they are.
                grid.add_row(Text(host.name), *self._cells(outcome, state))
        return grid

    def _cells(self, outcome: Outcome | None, state: str) -> tuple[Text, Text, Text]:
        if outcome is None:
            return Text(), Text(), Text(state, "dim")
        remote = outcome.remote
        mark = ("✓ ", "green") if outcome.passed else ("✗ ", "bold red")
        return (
            Text((remote.board or remote.machine) if remote else ""),
            Text(remote.os if remote else ""),
            Text.assemble(mark, outcome.detail),
        )
