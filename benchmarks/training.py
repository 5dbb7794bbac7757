"""Training in LiteRT against training in Keras: the same network, batches and machine.

Two processes, one a side, take turns of some steps each, so that whatever else slows
the machine slows both. Ratios are LiteRT ÷ Keras, medians over the turns.

Run: python benchmarks/training.py [--rounds 15] [--steps 20] [--threads 1,2] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_SIDES = ("litert", "keras")
_WARMUP_STEPS = 10
_RATE = 0.001


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each side")
    parser.add_argument("--steps", type=int, default=20, help="steps in a turn")
    parser.add_argument("--threads", default="1,2", help="comma-separated counts")
    parser.add_argument("--optimizer", default="adam", help="sgd, momentum or adam")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.add_argument("--side", choices=_SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--model", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        _serve(given)
        return
    result: dict[str, Any] = {"cpu_ratio": {}, "wall_ratio": {}, "rounds": given.rounds}
    result |= {"cpu_ms_per_step": {}, "steps": given.steps}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "lenet.tflite"
        _export(model, given.optimizer)
        result["model_bytes"] = model.stat().st_size
        for threads in given.threads.split(","):
            _compare(given, threads, model, result)
    if given.json:
        print(json.dumps(result, indent=2))
        return
    for threads, ratio in result["cpu_ratio"].items():
        each = result["cpu_ms_per_step"][threads]
        print(
            f"{threads} threads: CPU {ratio:.2f}, wall "
            f"{result['wall_ratio'][threads]:.2f} (LiteRT {each['litert']:.1f} ms CPU "
            f"a step, Keras {each['keras']:.1f})"
        )


def _export(path: Path, optimizer: str) -> None:
    # In a child: TensorFlow would keep the parent's memory and threads.
    code = (
        "import sys; from pathlib import Path; "
        "from edgedeploy.training.export import export_trainable; "
        "from edgedeploy.training.networks import build_network; "
        "Path(sys.argv[1]).write_bytes(export_trainable("
        "build_network('lenet', 0), optimizer=sys.argv[2]).data)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(path), optimizer],
        env=_environment(),
        check=True,
    )


def _compare(
    given: argparse.Namespace, threads: str, model: Path, result: dict[str, Any]
) -> None:
    sides = {side: _start(given, side, threads, model) for side in _SIDES}
    times: dict[str, list[dict[str, float]]] = {side: [] for side in _SIDES}
    try:
        for turn in range(given.rounds):
            # Who goes first changes, so that neither always follows the other.
            order = _SIDES if turn % 2 else _SIDES[::-1]
            for side in order:
                times[side].append(_ask(sides[side]))
    finally:
        for process in sides.values():
            process.kill()
            process.wait()
    for kind in ("cpu", "wall"):
        ratios = [
            a[kind] / b[kind]
            for a, b in zip(times["litert"], times["keras"], strict=True)
        ]
        result[f"{kind}_ratio"][threads] = round(statistics.median(ratios), 3)
    result["cpu_ms_per_step"][threads] = {
        side: round(1000 * statistics.median(t["cpu"] for t in taken) / given.steps, 2)
        for side, taken in times.items()
    }


def _start(
    given: argparse.Namespace, side: str, threads: str, model: Path
) -> subprocess.Popen[str]:
    words = ["--side", side, "--threads", threads, "--steps", str(given.steps)]
    words += ["--optimizer", given.optimizer, "--model", str(model)]
    process = subprocess.Popen(
        [sys.executable, __file__, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    _read(process)  # It says when it is warm.
    return process


def _ask(process: subprocess.Popen[str]) -> dict[str, float]:
    if process.stdin is None:
        raise SystemExit("the child has no input")
    process.stdin.write("go\n")
    process.stdin.flush()
    return _read(process)


def _read(process: subprocess.Popen[str]) -> dict[str, float]:
    line = "" if process.stdout is None else process.stdout.readline()
    if not line:
        raise SystemExit("a measuring process died; see its last words above")
    found: dict[str, float] = json.loads(line)
    return found


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    extra = {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return os.environ | extra | {"CUDA_VISIBLE_DEVICES": "-1"}


def _serve(given: argparse.Namespace) -> None:
    """Be one side: warm up, then time a turn whenever asked."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows = given.steps * 128
    x = rng.random((rows, 28, 28, 1), dtype=np.float32)
    labels = rng.integers(0, 10, rows)
    run = (_litert_side if given.side == "litert" else _keras_side)(given, x, labels)
    run(_WARMUP_STEPS)
    print("{}", flush=True)
    for _ in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        run(given.steps)
        spent = {
            "cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall,
        }  # fmt: skip
        print(json.dumps(spent), flush=True)


def _litert_side(given: argparse.Namespace, x: Any, labels: Any) -> Any:
    from edgedeploy.ondevice.learner import Learner

    learner = Learner(Path(given.model), threads=int(given.threads))

    def run(steps: int) -> None:
        for step in range(steps):
            part = slice(128 * step, 128 * (step + 1))
            learner.step(x[part], labels[part], _RATE)

    return run


def _keras_side(given: argparse.Namespace, x: Any, labels: Any) -> Any:
    import numpy as np
    import tensorflow as tf

    from edgedeploy.training.networks import build_network

    threads = int(given.threads)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    import keras

    model = build_network("lenet", 0)
    optimizers = {
        "sgd": keras.optimizers.SGD(_RATE),
        "momentum": keras.optimizers.SGD(_RATE, momentum=0.9),
        "adam": keras.optimizers.Adam(_RATE),
    }
    model.compile(optimizers[given.optimizer], "categorical_crossentropy")
    y = np.eye(10, dtype=np.float32)[labels]

    def run(steps: int) -> None:
        rows = 128 * steps
        model.fit(x[:rows], y[:rows], batch_size=128, epochs=1, verbose=0)

    return run


if __name__ == "__main__":
    main()
