"""Tasks for edgedeploy's own developers: `test` and `check`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from edgedeploy.cli.command import command

# (what, command): each has to succeed; all are run, so that one round shows all.
CHECKS = (
    ("ruff", ("ruff", "check", ".")),
    ("ruff format", ("ruff", "format", "--check", ".")),
    ("mypy", ("mypy",)),
    ("import-linter", ("importlinter.cli:lint_imports_command",)),
)


@command("all")
def test(values: SimpleNamespace) -> None:
    """Run the tests; --all adds the slow ones."""
    from edgedeploy.ondevice.host import usable_cores

    # A file's tests stay together, since they share what a fixture built. One process
    # more than cores: some tests wait for servers that do not answer.
    workers = str(usable_cores() + 1)
    words = ["pytest", "-n", workers, "--dist", "loadfile"]
    if values.all:
        words += ["-m", "not device"]
    _run_all([("tests", words)])


@command()
def check(_values: SimpleNamespace) -> None:
    """Check style, types and the floors of the architecture."""
    _run_all([(name, list(words)) for name, words in CHECKS])


def _run_all(jobs: list[tuple[str, list[str]]]) -> None:
    from edgedeploy.errors import EdgedeployError, InputError

    root = Path(__file__).resolve().parents[2]
    if not (root / "pyproject.toml").is_file():
        raise InputError(
            f"{root} is no checkout of edgedeploy; test and check work in one"
        )
    failed = []
    for name, words in jobs:
        module, _, function = words[0].partition(":")
        start = (
            ["-c", f"import sys, {module}; sys.exit({module}.{function}())"]
            if function
            else ["-m", module]
        )
        done = subprocess.run([sys.executable, *start, *words[1:]], cwd=root)
        if done.returncode:
            failed.append(name)
    if failed:
        raise EdgedeployError(f"{', '.join(failed)} failed; the reasons are above")


TASKS = (test, check)
