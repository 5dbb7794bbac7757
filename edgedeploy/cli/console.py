"""The one voice: human text through rich, or silence on stdout for --json."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from edgedeploy.cli.tables import print_table
from edgedeploy.doctor import Finding
from edgedeploy.isolate import Progress as ProgressFunction
from edgedeploy.isolate import silent
from edgedeploy.results import Check


class Speaker:
    """Tell a person what a build does.

    Args:
        machine: Whether stdout is for JSON alone; text then goes to stderr.

    Attributes:
        warnings: Every warning so far, one line each.
        plain: Whether neither escape codes nor bars are wanted.
        lasting: Those that hold for what was built, not for this run alone.
        ran: Every step that ran, in order.
    """

    def __init__(self, *, machine: bool = False) -> None:
        self.machine = machine
        # Rich takes NO_COLOR to allow bold text and moving bars; most people do not.
        self.plain = bool(os.environ.get("NO_COLOR"))
        self.console = Console(
            stderr=machine,
            highlight=False,
            soft_wrap=False,
            color_system=None if self.plain else "auto",
        )
        self.warnings: list[str] = []
        self.lasting: list[str] = []
        self.ran: list[str] = []

    @contextmanager
    def step(self, what: str) -> Iterator[ProgressFunction]:
        """Show a stage while it runs and how long it took."""
        started = time.perf_counter()
        if self.console.is_terminal and not self.plain:
            with self._bar(what) as progress:
                yield progress
        else:
            yield silent
        seconds = time.perf_counter() - started
        # Looking something up in the cache is no news.
        if seconds > 0.2 or not what.startswith("fetch"):
            self.ran.append(what)
            self.console.print(
                Text.assemble(("✓ ", "green"), f"{what:<40}"),
                Text(f"{seconds:8.1f} s", "dim"),
            )

    def note(self, line: str) -> None:
        """Say something worth knowing."""
        self.console.print(Text(line, "cyan"))

    def warn(self, line: str, *, lasting: bool = True) -> None:
        """Say something that the user should act upon.

        Args:
            line: What to say; twice the same is said once.
            lasting: Whether it belongs in the report.
        """
        if line not in self.warnings:
            self.warnings.append(line)
            self.lasting += [line] if lasting else []
            self.console.print(Text.assemble(("warning: ", "bold yellow"), line))

    def checks(self, checks: Sequence[Check]) -> None:
        """List what a verification found."""
        marks = {True: ("✓ ", "green"), False: ("✗ ", "bold red"), None: ("- ", "dim")}
        for check in checks:
            self.console.print(
                Text.assemble(marks[check.passed], f"{check.name}: {check.detail}")
            )

    def finding(self, finding: Finding) -> None:
        """Show one finding of the doctor, and what to do about a missing thing."""
        mark = ("✓ ", "green") if finding.present else ("✗ ", "yellow")
        self.console.print(Text.assemble(mark, f"{finding.name:<24}{finding.detail}"))
        if not finding.present:
            lacking = f"without it: {finding.cost}; get it: {finding.remedy}"
            self.console.print(Padding(Text(lacking, "dim"), (0, 0, 0, 4)))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show rows under a header, no wider than the terminal."""
        print_table(self.console, header, rows)

    def answer(self, value: Any) -> None:
        """Print the result of a task as JSON."""
        json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        # Here, and not at exit, a closed pipe can still be told apart from a crash.
        sys.stdout.flush()

    @contextmanager
    def _bar(self, what: str) -> Iterator[ProgressFunction]:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with _Bars(*columns, console=self.console, transient=True) as bars:
            bar = bars.add_task(what, total=None)

            def show(done: int, total: int | None, so_far: str = "", /) -> None:
                bars.so_far = so_far
                bars.update(bar, completed=done, total=total)

            yield show


class _Bars(Progress):
    """A bar, and below it what is known so far."""

    so_far = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        if self.so_far:
            yield Text(f"  {self.so_far}", "dim")


def ask(question: str, answers: tuple[str, ...], usual: str) -> str | None:
    """Ask a person, where there is one.

    Args:
        question: One line.
        answers: What may be answered.
        usual: The answer of who only presses return.

    Returns:
        One of the answers; None where stdin is no terminal.
    """
    if not sys.stdin.isatty():
        return None
    while True:
        sys.stderr.write(f"{question} ({', '.join(answers)}) [{usual}] ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        said = line.strip() or usual
        if not line or said in answers:
            # A closed terminal answers as one that was never there.
            return said if line else None
