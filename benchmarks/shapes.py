r"""Is a signature for each size of picture faster than resizing one model?

    python benchmarks/shapes.py --model build/NAME/variants/int8/model.tflite \
        --shapes 224x224,299x299 --rounds 15

Two files with the same weights: the delivered one, which is resized, and one with a
signature a size, whose weights are there once. Each is in a process of its own; both
walk through the sizes in the same shuffled order and take turns.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgedeploy.formats.tflite_merge import merge_models
from edgedeploy.formats.tflite_shapes import pin_size
from edgedeploy.ondevice.host import peak_rss_bytes
from edgedeploy.ondevice.shapes import parse_shapes, size_name

WAYS = ("resize", "signatures")


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--model", type=Path, required=True, help=".tflite of open size"
    )
    parser.add_argument("--shapes", default="224x224,299x299")
    parser.add_argument("--rounds", type=int, default=15, help="walks over the sizes")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error(f"--rounds must be at least 2; received {arguments.rounds}")
    return arguments


def serve(way: str, model: Path) -> None:
    """Be a child: classify one picture of a size for each line of stdin."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    run = resize_and_run if way == "resize" else run_signature
    runners = {} if way == "resize" else prepare_runners(interpreter)
    for line in sys.stdin:
        name, seed = line.split()
        width, height = map(int, name.split("x"))
        dtype = interpreter.get_input_details()[0]["dtype"]
        noise = np.random.default_rng(int(seed))
        picture = noise.integers(0, 256, (1, height, width, 3)).astype(dtype)
        start = time.perf_counter()
        answer = run(interpreter, runners, name, picture)
        elapsed_ms = (time.perf_counter() - start) * 1e3
        digest = [int(np.argmax(answer)), float(np.max(answer))]
        reply = {"ms": elapsed_ms, "answer": digest, "rss": peak_rss_bytes()}
        print(json.dumps(reply), flush=True)


def prepare_runners(interpreter: Any) -> dict[str, Any]:
    """Make a runner for each signature; each allocates its own subgraph."""
    return {
        key: interpreter.get_signature_runner(key)
        for key in interpreter.get_signature_list()
    }


def resize_and_run(
    interpreter: Any, _runners: dict[str, Any], _name: str, picture: np.ndarray
) -> np.ndarray:
    """Resize where the size differs, and run."""
    details = interpreter.get_input_details()[0]
    if tuple(details["shape"]) != picture.shape:
        interpreter.resize_tensor_input(details["index"], picture.shape)
    # Costs nothing where nothing changed.
    interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], picture)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def run_signature(
    _interpreter: Any, runners: dict[str, Any], name: str, picture: np.ndarray
) -> np.ndarray:
    """Run the signature of the size."""
    runner = runners[name]
    (argument,) = runner.get_input_details()
    (answer,) = runner(**{argument: picture}).values()
    return answer


def compare(arguments: argparse.Namespace) -> dict:
    """Walk both children through the sizes, and sum up."""
    shapes = parse_shapes(arguments.shapes)
    names = [size_name(size) for size in shapes.tested()]
    data = arguments.model.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder) / "signatures.tflite"
        sizes = {size_name(size): pin_size(data, *size) for size in shapes.tested()}
        merged.write_bytes(merge_models(sizes))
        files = {"resize": arguments.model, "signatures": merged}
        facts = {way: {"bytes": path.stat().st_size} for way, path in files.items()}
        children = {way: start(way, path) for way, path in files.items()}
        try:
            samples = walk(children, names, arguments.rounds, facts)
        finally:
            for child in children.values():
                child.stdin.close()
                child.wait(timeout=30)
    for way in WAYS:
        facts[way]["changed_ms"] = medians(samples[way]["changed"])
        facts[way]["same_ms"] = medians(samples[way]["same"])
    return {"sizes": names, "rounds": arguments.rounds, "ways": facts}


def start(way: str, path: Path) -> subprocess.Popen:
    """Start the child of one way."""
    command = [sys.executable, __file__, "--child", way, "--model", str(path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def walk(children: dict, names: list[str], rounds: int, facts: dict) -> dict:
    """Time each size twice in turn: right after another one, and again."""
    samples = {
        way: {kind: {name: [] for name in names} for kind in ("changed", "same")}
        for way in WAYS
    }
    order = random.Random(0)  # noqa: S311  (an order, not a secret)
    for number in range(rounds):
        turns = list(names)
        order.shuffle(turns)
        for name in turns:
            for kind in ("changed", "same"):
                replies = {w: ask(children[w], f"{name} {number}") for w in WAYS}
                # The first walk prepares: runners allocate at their first run.
                if number:
                    for way, reply in replies.items():
                        samples[way][kind][name].append(reply["ms"])
                if replies["resize"]["answer"] != replies["signatures"]["answer"]:
                    raise SystemExit(f"the two files answer differently at {name}")
                for way, reply in replies.items():
                    facts[way]["peak_rss_bytes"] = reply["rss"]
    return samples


def ask(child: subprocess.Popen, line: str) -> dict:
    """Send a line and wait for its answer."""
    child.stdin.write(line + "\n")
    child.stdin.flush()
    return json.loads(child.stdout.readline())


def medians(samples: dict[str, list[float]]) -> dict[str, float]:
    """Median of each size."""
    return {name: round(statistics.median(ms), 3) for name, ms in samples.items()}


def show(found: dict) -> None:
    """Print a table."""
    for way, facts in found["ways"].items():
        peak = facts["peak_rss_bytes"] / 1e6
        print(f"{way}: {facts['bytes']} bytes, peak {peak:.0f} MB")
        for name in found["sizes"]:
            changed, same = facts["changed_ms"][name], facts["same_ms"][name]
            print(f"  {name:>9}  changed {changed:8.2f} ms   same {same:8.2f} ms")


def main() -> None:
    """Compare, or be a child."""
    arguments = read_arguments()
    if arguments.child:
        serve(arguments.child, arguments.model)
        return
    found = compare(arguments)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    main()
