r"""How near is the evaluator to what the processor allows?

    inv convert --model efficientnet_lite0 --recipes int8
    inv convert --model inception_v3 --recipes int8
    python benchmarks/evaluate.py --build . --images photos/ --rounds 5 --json

Every round runs each of these in a process of its own, one after the other, on the
same pictures, so that what else the machine does falls on all of them:

- stages: CPU time of decode, resize, normalise and invoke, picture by picture on one
  thread; cores / their sum is the limit of a first pass (core limit). Then the same
  on every core at once (busy limit): cores that share memory slow each other down
- first_pass, next_pass: our evaluator without and with decoded pictures at hand
- naive: Pillow, set_tensor and invoke in a loop
- invoke_1xN, invoke_Nx1: invoke alone, one interpreter with N threads, or N with one

Rates are pictures per second between the first picture and the last; what a pass takes
before (Python, NumPy, loading the model) is start_up_s, not part of them. Ratios are
formed in each round; their median counts. With --json there are two lines: all that
was measured, and the three ratios, the smallest over the models and of each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import numpy as np
from PIL import Image

from edgedeploy.catalog import model_specs
from edgedeploy.evaluate.engine import score_pictures
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.host import describe_host, usable_cores
from edgedeploy.ondevice.inputs import find_pictures
from edgedeploy.ondevice.runtime import Model

MODELS = "efficientnet_lite0,inception_v3"
ALONE = ("naive", "invoke_1xN", "invoke_Nx1")
CHILD = Path(__file__).with_name("evaluate_ways.py")
DRAWN = 64


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=Path, default=Path(), help="holds build/")
    parser.add_argument("--models", default=MODELS, help="comma-separated names")
    parser.add_argument("--recipe", default="int8")
    parser.add_argument("--images", type=Path, help="folder; none: pictures are drawn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=12.0, help="of a pass, about")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--memory", action="store_true", help="also 200 and 5,000")
    parser.add_argument("--json", action="store_true", help="print two lines of JSON")
    return parser.parse_args()


def draw_pictures(folder: Path) -> list[Path]:
    """Draw JPEGs as large and about as detailed as ImageNet's, each another."""
    noise = np.random.default_rng(0)
    for number in range(DRAWN):
        coarse = noise.integers(0, 256, (24, 32, 3), np.uint8)
        image = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
        grain = noise.normal(0, 9, (375, 500, 3))
        pixels = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.jpg", quality=90)
    return sorted(folder.glob("*.jpg"))


def run_child(way: str, job: dict[str, Any]) -> dict[str, float]:
    """Measure a way in a process of its own."""
    return run_children(way, job, 1)[0]


def run_children(way: str, job: dict[str, Any], copies: int) -> list[dict[str, float]]:
    """Measure a way in processes of their own that run at the same time."""
    command = [sys.executable, str(CHILD), way]
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        for _ in range(copies)
    ]
    for child in children:
        child.stdin.write(json.dumps(job))
        child.stdin.close()
    said = [child.stdout.read() for child in children]
    if any(child.wait() for child in children):
        raise SystemExit(f"measuring {way} failed; the reason is above")
    return [json.loads(text.splitlines()[-1]) for text in said]


def run_pass(job: dict[str, Any], folder: Path, decoded: Path) -> dict[str, float]:
    """Run our evaluator as the evaluation's stage does, once."""
    before, started = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    done = score_pictures(
        Path(job["model"]),
        [Path(path) for path in job["pictures"]],
        pipeline=ImagePipeline.from_dict(job["pipeline"]),
        out=folder / "scores.npy",
        decoded=(decoded, "key"),
        threads=job["threads"],
        runtime="auto",
        what="the benchmark",
        identity="benchmark",
    )
    seconds = time.perf_counter() - started
    after = getrusage(RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    count = len(job["pictures"])
    return {
        "images_per_s": done.images_per_s,
        "start_up_s": seconds - count / done.images_per_s,
        "cpu_ms": spent / count * 1e3,
    }


def measure_round(job: dict[str, Any]) -> dict[str, Any]:
    """Run every way once, on the same pictures."""
    found: dict[str, Any] = {"stages": run_child("stages", job)}
    busy = medians(run_children("stages", job, job["threads"]))
    with tempfile.TemporaryDirectory(prefix="edgedeploy-benchmark-") as folder:
        decoded = Path(folder) / "decoded"
        found["first_pass"] = run_pass(job, Path(folder), decoded)
        found["next_pass"] = run_pass(job, Path(folder), decoded)
    found |= {way: run_child(way, job) for way in ALONE}
    limit = job["threads"] * 1e3 / sum(found["stages"].values())
    busy_limit = job["threads"] * 1e3 / sum(busy.values())
    rates = {way: found[way]["images_per_s"] for way in found if way != "stages"}
    invoke = max(rates["invoke_1xN"], rates["invoke_Nx1"])
    found["stages_busy"] = busy
    found["ratios"] = {
        "first_pass_of_core_limit": rates["first_pass"] / limit,
        "next_pass_of_invoke_rate": rates["next_pass"] / invoke,
        "speedup_over_naive": rates["first_pass"] / rates["naive"],
        "first_pass_of_busy_limit": rates["first_pass"] / busy_limit,
    }
    return found


def medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Take the median of every figure over the rounds."""
    first = rounds[0]
    return {
        key: medians([one[key] for one in rounds])
        if isinstance(value, dict)
        else round(statistics.median(one[key] for one in rounds), 4)
        for key, value in first.items()
    }


def prepare_job(arguments: argparse.Namespace, name: str, paths: list) -> dict:
    """Find the model and its contract, and repeat the pictures to reach enough."""
    model = arguments.build / "build" / name / "variants" / arguments.recipe
    model = (model / "model.tflite").resolve()
    if not model.is_file():
        raise SystemExit(f"{model}: not there; run inv convert --model {name} first")
    classes = int(np.prod(Model(str(model)).output.shape[1:]))
    specs = [spec for spec in model_specs(name) if len(spec.labels) == classes]
    if not specs:
        raise SystemExit(f"{model}: no weights of {name} have {classes} classes")
    job: dict[str, Any] = {
        "model": str(model),
        "pipeline": specs[0].pipeline.to_dict(),
        "threads": arguments.threads,
        "pictures": [str(path) for path in paths[:100]],
    }
    stages = run_child("stages", job)
    whole = sum(stages.values())
    count = max(200, int(arguments.seconds * arguments.threads * 1e3 / whole))
    job["pictures"] = [str(paths[n % len(paths)]) for n in range(count)]
    seconds = min(arguments.seconds, 6.0)
    job["invokes"] = int(seconds * arguments.threads * 1e3 / stages["invoke"])
    return job


def measure_memory(job: dict[str, Any], paths: list) -> dict[str, float]:
    """Compare a pass's peak memory for 200 and for 5,000 pictures, in MB."""
    found = {}
    for count in (200, 5000):
        own = {**job, "pictures": [str(paths[n % len(paths)]) for n in range(count)]}
        found[f"peak_rss_mb_{count}"] = run_child("memory", own)["peak_rss_mb"]
    found["growth_mb"] = found["peak_rss_mb_5000"] - found["peak_rss_mb_200"]
    return {name: round(value, 1) for name, value in found.items()}


def compare(arguments: argparse.Namespace, paths: list) -> dict[str, Any]:
    """Measure every model, all of them in each round."""
    names = arguments.models.split(",")
    jobs = {name: prepare_job(arguments, name, paths) for name in names}
    memory = measure_memory(jobs[names[0]], paths) if arguments.memory else None
    rounds: dict[str, list] = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for name, job in jobs.items():
            rounds[name].append(measure_round(job))
    found = {name: medians(own) for name, own in rounds.items()}
    for name, job in jobs.items():
        found[name]["pictures"] = len(job["pictures"])
    keys = list(next(iter(found.values()))["ratios"])[:3]
    return {
        "host": describe_host(),
        "images": {
            "source": str(arguments.images or "drawn"),
            "distinct": len(paths),
        },
        "rounds": arguments.rounds,
        "threads": arguments.threads,
        "models": found,
        "memory": memory,
        "per_model": {name: found[name]["ratios"] for name in names},
        "minimum": {
            key: min(own["ratios"][key] for own in found.values()) for key in keys
        },
    }


def show(found: dict[str, Any]) -> None:
    """Print a table a model."""
    for name, own in found["models"].items():
        stages = own["stages"]
        parts = ", ".join(f"{key} {value:.2f}" for key, value in stages.items())
        print(f"{name}: {own['pictures']} pictures, CPU ms each: {parts}")
        limit = found["threads"] * 1e3 / sum(stages.values())
        print(f"  {'core limit':<12}{limit:8.1f} images/s")
        for way in ("first_pass", "next_pass", *ALONE):
            print(f"  {way:<12}{own[way]['images_per_s']:8.1f} images/s")
        for key, value in own["ratios"].items():
            print(f"  {key}: {value:.3f}")
    if found["memory"]:
        print(f"memory: {found['memory']}")


def main() -> None:
    """Compare, and print."""
    arguments = read_arguments()
    with tempfile.TemporaryDirectory(prefix="edgedeploy-benchmark-") as folder:
        if arguments.images:
            paths = list(find_pictures([arguments.images]))
        else:
            paths = draw_pictures(Path(folder))
        found = compare(arguments, paths)
    last = {**found.pop("minimum"), "models": found.pop("per_model")}
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)
    print(json.dumps(last))


if __name__ == "__main__":
    main()
