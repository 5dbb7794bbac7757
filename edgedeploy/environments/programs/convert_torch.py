"""A PyTorch file to a float32 .tflite file; runs in the environment of litert-torch.

Called as `python convert_torch.py MODEL OUT`; imports nothing of edgedeploy, which
that environment lacks.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import litert_torch
import torch


def main(model: str, out: str) -> None:
    """Convert one file.

    Args:
        model: Path of a file of torch.export.save, such as a .pt2.
        out: Where the .tflite file goes.
    """
    try:
        program = torch.export.load(model)
    except Exception as error:  # Zip, pickle and schema errors of many types.
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        sys.exit(f"torch.export.load cannot read it: {first[:200]}")
    shape = _input_shape(program)
    # Devices keep the colours of a pixel together; PyTorch keeps them apart.
    network = litert_torch.to_channel_last_io(program.module(), args=[0])
    height_first = (torch.zeros((1, *shape[2:], shape[1])),)
    litert_torch.convert(network, height_first).export(out)


def _input_shape(program: Any) -> tuple[int, ...]:
    """Shape of the one picture input, batch, channels, height, width."""
    signature = program.graph_signature
    names = signature.user_inputs
    if len(names) != 1 or len(signature.user_outputs) != 1:
        sys.exit(
            f"expected one input and one output; found {len(names)} and "
            f"{len(signature.user_outputs)}"
        )
    node = next(node for node in program.graph.nodes if node.name == names[0])
    sizes = list(node.meta["val"].shape)
    if len(sizes) != 4:
        sys.exit(f"expected an input of pictures, 4 dimensions; found {len(sizes)}")
    if any(not isinstance(size, int) for size in sizes[1:]):
        sys.exit(
            "the input's size is left open; export the model with a fixed height and "
            "width (only the batch may be open)"
        )
    return tuple(int(size) for size in (1, *sizes[1:]))


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(*sys.argv[1:])
