"""An ONNX file to a float32 .tflite file; runs in the environment of onnx2tf.

Called as `python convert_onnx.py MODEL OUT` in an empty folder; imports nothing of
edgedeploy, which that environment lacks.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx2tf

# onnx2tf tries networks of one picture on photos that it would fetch from the network,
# unless a file of that name lies in its folder. They decide no weight.
_PHOTOS = "calibration_image_sample_data_20x128x128x3_float32.npy"


def main(model: str, out: str) -> None:
    """Convert one file.

    Args:
        model: Path of the .onnx file.
        out: Where the .tflite file goes.
    """
    _check(model)
    photos = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
    np.save(_PHOTOS, photos)
    onnx2tf.convert(
        input_onnx_file_path=model,
        output_folder_path="converted",
        batch_size=1,
        non_verbose=True,
    )
    made = sorted(Path("converted").glob("*_float32.tflite"))
    if not made:
        sys.exit("onnx2tf wrote no float32 .tflite file")
    shutil.copyfile(made[0], out)


def _check(model: str) -> None:
    """Say in one line what onnx2tf would say in a hundred."""
    try:
        loaded = onnx.load(model, load_external_data=False)
        # Other files are in no digest, and a path in a file may lead anywhere.
        if any(_is_elsewhere(one) for one in _tensors(loaded.graph)):
            sys.exit(
                "its weights are in files beside it; save it in one file: "
                'onnx.save(onnx.load("net.onnx"), "whole.onnx")'
            )
        onnx.checker.check_model(loaded)
    except Exception as error:  # protobuf's and the checker's own types.
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        sys.exit(f"not a valid ONNX file: {first[:200]}")
    weights = {one.name for one in loaded.graph.initializer}
    inputs = [one for one in loaded.graph.input if one.name not in weights]
    if len(inputs) != 1 or len(loaded.graph.output) != 1:
        sys.exit(
            f"expected one input and one output; found {len(inputs)} and "
            f"{len(loaded.graph.output)}"
        )
    dims = inputs[0].type.tensor_type.shape.dim
    if len(dims) != 4:
        sys.exit(f"expected an input of pictures, 4 dimensions; found {len(dims)}")
    if any(not dim.dim_value for dim in list(dims)[1:]):
        sys.exit(
            "the input's size is left open; export the model with a fixed height and "
            "width (only the batch may be open)"
        )


def _is_elsewhere(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All constants of a graph and of the graphs inside its operators."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(*sys.argv[1:])
