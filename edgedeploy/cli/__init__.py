"""The command line: one collection of tasks, for `inv` and for `edgedeploy`."""

from __future__ import annotations

import sys
from typing import Any

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from edgedeploy import __version__
from edgedeploy.cli import (
    android,
    attribute,
    build,
    care,
    compare,
    develop,
    init,
    inspect,
    package,
    pi,
    pipeline,
    sweep,
    train,
)

__all__ = ["main", "namespace"]


def _collect() -> Collection:
    collection = Collection()
    for module in (attribute, build, care, compare, develop, init, inspect, sweep):
        for task in module.TASKS:
            collection.add_task(task)
    for name, tasks in (
        ("android", android.TASKS),
        ("package", package.TASKS),
        ("pi", pi.TASKS),
        ("pipeline", pipeline.TASKS),
        ("train", train.TASKS),
    ):
        group = Collection(name)
        for task in tasks:
            group.add_task(task)
        collection.add_collection(group)
    return collection


namespace = _collect()


class _Program(Program):
    """Invoke's program, but bad flags exit with 2 as every other bad value does."""

    def parse_core(self, argv: Any) -> None:
        """Read the core flags."""
        try:
            super().parse_core(argv)
        except ParseError as error:
            raise _refused(error) from error

    def parse_tasks(self) -> None:
        """Read the tasks and their flags."""
        try:
            super().parse_tasks()
        except ParseError as error:
            raise _refused(error) from error


def _refused(error: ParseError) -> Exit:
    name = "edgedeploy"
    return Exit(f"{name}: {error} See {name} --list, or {name} --help TASK", code=2)


def main(arguments: list[str] | None = None) -> None:
    """Run the `edgedeploy` program.

    Args:
        arguments: Words after the program's name; None for the process's own.
    """
    program = _Program(
        name="edgedeploy", binary="edgedeploy", namespace=namespace, version=__version__
    )
    words = sys.argv[1:] if arguments is None else arguments
    program.run(["edgedeploy", *words])
