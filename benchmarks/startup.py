"""How long the command line takes to answer, and a build that has nothing to do.

    python benchmarks/startup.py --folder ~/project --rounds 9

The folder is one in which `edgedeploy build` has been run; without it the no-op build
is left out. Commands take turns, so that drift of the machine hits all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where a build has been made")
    parser.add_argument(
        "--build-flags", default="", help="flags of that build, such as '--model NAME'"
    )
    parser.add_argument("--rounds", type=int, default=7, help="timings of each command")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1; received {arguments.rounds}")
    if arguments.folder and not (arguments.folder / "build").is_dir():
        parser.error(f"{arguments.folder} holds no build; run edgedeploy build there")
    return arguments


def find_commands(arguments: argparse.Namespace) -> dict[str, tuple[list[str], Path]]:
    """Give each command by its name, with the folder that it runs in.

    The programs are those beside this Python, so that no other installation is timed.
    """
    programs = Path(sys.executable).parent
    edgedeploy = str(programs / "edgedeploy")
    commands = {
        "python -c pass": ([sys.executable, "-c", "pass"], ROOT),
        "inv --list": ([str(programs / "inv"), "--list"], ROOT),
        "edgedeploy --help": ([edgedeploy, "--help"], ROOT),
    }
    if arguments.folder:
        build = [edgedeploy, "build", *arguments.build_flags.split()]
        commands["edgedeploy build (no-op)"] = (build, arguments.folder)
    return commands


def time_command(command: list[str], folder: Path) -> float:
    """Run a command once.

    Returns:
        Wall-clock seconds from start to exit.

    Raises:
        SystemExit: If it fails; its last words are in the message.
    """
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    elapsed = time.perf_counter() - started
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["nothing said"]
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {words[-1]}")
    return elapsed


def measure(
    commands: dict[str, tuple[list[str], Path]], rounds: int
) -> dict[str, list[float]]:
    """Time every command once a round, after one round that only warms up."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, (command, folder) in commands.items():
            elapsed = time_command(command, folder)
            if number:
                times[name].append(elapsed)
    return times


def main() -> None:
    """Measure, and print a table or JSON."""
    arguments = read_arguments()
    times = measure(find_commands(arguments), arguments.rounds)
    rows = {
        name: {
            "median_s": round(statistics.median(values), 4),
            "min_s": round(min(values), 4),
            "max_s": round(max(values), 4),
            "rounds": len(values),
        }
        for name, values in times.items()
    }
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'command':<28}{'median s':>10}{'min':>8}{'max':>8}")
    for name, row in rows.items():
        figures = f"{row['median_s']:>10.3f}{row['min_s']:>8.3f}{row['max_s']:>8.3f}"
        print(f"{name:<28}{figures}")


if __name__ == "__main__":
    main()
