"""The ways that evaluate.py compares, each measured in a process of its own.

    python benchmarks/evaluate_ways.py WAY < job.json

A job is {"model", "pipeline", "pictures", "threads", "invokes"}; the answer is JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import numpy as np
from PIL import Image

from edgedeploy.evaluate.engine import score_pictures
from edgedeploy.evaluate.feeding import tensor_filler
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import decode, fit, prepare
from edgedeploy.ondevice.runtime import Model

WARMUP = 10


def measure_way(way: str, job: dict[str, Any]) -> dict[str, float]:
    """Measure one way over the job's pictures."""
    pipeline = ImagePipeline.from_dict(job["pipeline"])
    paths, model, threads = job["pictures"], job["model"], job["threads"]
    if way == "stages":
        return measure_stages(paths, pipeline, model)
    if way == "memory":
        return measure_memory(job)
    if way == "naive":
        return {"images_per_s": len(paths) / run_naive(paths, pipeline, model)}
    pictures = [prepare(path, pipeline) for path in paths[:16]]
    networks = [Model(model, threads=threads)]
    if way == "invoke_Nx1":
        networks = [Model(model) for _ in range(threads)]
    for network in networks:
        invoke_alone(network, pictures, pipeline, range(5))
    todo = iter(range(job["invokes"]))
    workers = [
        threading.Thread(target=invoke_alone, args=(network, pictures, pipeline, todo))
        for network in networks
    ]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"images_per_s": job["invokes"] / (time.perf_counter() - started)}


def measure_memory(job: dict[str, Any]) -> dict[str, float]:
    """Give the peak memory of a first and a next pass, in MB."""
    with tempfile.TemporaryDirectory(prefix="edgedeploy-benchmark-") as folder:
        for _ in ("first", "next"):
            score_pictures(
                Path(job["model"]),
                [Path(path) for path in job["pictures"]],
                pipeline=ImagePipeline.from_dict(job["pipeline"]),
                out=Path(folder) / "scores.npy",
                decoded=(Path(folder) / "decoded", "key"),
                threads=job["threads"],
                runtime="auto",
                what="the benchmark",
            )
    return {"peak_rss_mb": getrusage(RUSAGE_CHILDREN).ru_maxrss / 1e3}


def invoke_alone(
    network: Model, pictures: list, pipeline: ImagePipeline, todo: Iterable[int]
) -> None:
    """Run a network again and again; the input stays what it is."""
    interpreter = network._interpreter
    interpreter.set_tensor(network._in, network.tensor(pictures[0][None], pipeline))
    for _ in todo:
        interpreter.invoke()


def measure_stages(
    paths: list[str], pipeline: ImagePipeline, model: str
) -> dict[str, float]:
    """Give the CPU milliseconds of each stage of a picture, on this thread alone."""
    network = Model(model)
    fill = tensor_filler(pipeline, network.input)
    interpreter, clock = network._interpreter, time.thread_time_ns
    sums = dict.fromkeys(("decode", "resize", "normalise", "invoke"), 0)
    for number, path in enumerate([*paths[:WARMUP], *paths]):
        begin = clock()
        image = decode(path, pipeline)
        decoded = clock()
        rgb = fit(image, pipeline)
        resized = clock()
        fill(rgb, interpreter.tensor(network._in)())
        normalised = clock()
        interpreter.invoke()
        end = clock()
        times = (decoded - begin, resized - decoded, normalised - resized)
        # The first ten fill caches and wake clocks.
        for name, spent in zip(sums, (*times, end - normalised), strict=True):
            sums[name] += spent if number >= WARMUP else 0
    return {name: spent / len(paths) / 1e6 for name, spent in sums.items()}


def run_naive(paths: list[str], pipeline: ImagePipeline, model: str) -> float:
    """Do what a notebook does: one picture after the other, the default interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    target = interpreter.get_output_details()[0]["index"]
    scale, zero_point = source["quantization"]
    mean, std = (np.array(v, np.float32) for v in (pipeline.mean, pipeline.std))
    size = (pipeline.width, pipeline.height)
    answers = []
    started = time.perf_counter()
    for path in paths:
        image = Image.open(path).convert("RGB")
        side = int(min(image.size) * pipeline.crop_fraction)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        kernel = Image.Resampling[pipeline.kernel.upper()]
        pixels = np.asarray(image.crop(box).resize(size, kernel))
        values = (pixels - mean) / std
        if scale:
            values = np.clip(np.round(values / scale + zero_point), 0, 255)
        interpreter.set_tensor(source["index"], values[None].astype(source["dtype"]))
        interpreter.invoke()
        answers.append(int(np.argmax(interpreter.get_tensor(target))))
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(measure_way(sys.argv[1], json.loads(sys.stdin.read()))))
