"""Real weights and the shipped samples, for tests of the catalogue's networks."""

import pytest
from kept import made_once

from edgedeploy.fetch import Unreachable, fetch
from edgedeploy.images.datasets import read_dataset
from edgedeploy.isolate import run_isolated
from edgedeploy.resources import resource_folder
from edgedeploy.workspace import cache_folder


def fetch_weights(spec):
    """Fetch, or skip aloud where the registry does not answer."""
    try:
        return fetch(spec.source, cache=cache_folder()).path
    except Unreachable as error:
        pytest.skip(
            f"needs the {spec.title} weights, which nobody serves here: {error}"
        )


def samples(spec, role):
    folder = resource_folder("models") / "samples" / role
    found = read_dataset(folder, spec.labels, spec.label_ids, column=spec.label_set)
    return found.pictures


def converted(spec, recipe):
    """A catalogue's network in LiteRT, converted once in a run; not to be changed."""
    weights = fetch_weights(spec)
    calibration = samples(spec, "calibration") if recipe == "int8" else ()

    def make(folder):
        run_isolated(
            "edgedeploy.quantize.converter:convert_variant",
            {
                "architecture": spec.architecture,
                "layout": spec.layout,
                "weights": str(weights),
                "recipe": recipe,
                "pipeline": spec.pipeline.to_dict(),
                "calibration": [str(picture.path) for picture in calibration],
                "out": str(folder / "model.tflite"),
            },
            what=f"converting {recipe}",
        )

    name = f"{spec.name}-{spec.weights}-{recipe}"
    return made_once(name, make) / "model.tflite"
