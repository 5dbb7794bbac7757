"""Ask every variant of a bundle, here or under an emulator; runs on both sides.

On the desk it is called with our own `ondevice`. Under the emulator it is a program
whose `ondevice` and wheels are the bundle's, so it imports nothing else of ours.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__)
ON_DEVICE = "ondevice"
HERE = "edgedeploy.ondevice"
INNER = " before softmax"


def respond(
    folder: str,
    pictures: list[str],
    package: str,
    reply: str,
    *,
    golden: int,
    inner: dict[str, str],
) -> None:
    """Run every variant on the golden pictures and on more, and write what it says.

    Args:
        folder: The unpacked bundle.
        pictures: .npy files, each uint8 RGB of shape (height, width, 3), used after
            the golden pictures.
        package: Where `ondevice` is imported from.
        reply: File to write: one JSON line a question, {"recipe", "input", "delegate",
            "rgb_sha256", "tensor_sha256", "dtype", "output", "runtime"}; `output` is
            the output tensor in Base64.
        golden: How many golden pictures to take, of the first.
        inner: Models that stop before a variant's softmax, by recipe; asked too, under
            the recipe's name and " before softmax".
    """
    import numpy as np

    bundles = importlib.import_module(f"{package}.bundle")
    decoding = importlib.import_module(f"{package}.pictures")
    runtime = importlib.import_module(f"{package}.runtime")
    installed = importlib.import_module(f"{package}.installed")
    bundle = bundles.read_bundle(Path(folder))
    operators = importlib.import_module(f"{package}.libraries").find_libraries(bundle)
    questions = [
        (vector.path.name, decoding.prepare(vector.path, bundle.pipeline))
        for vector in bundle.golden[:golden]
    ]
    questions += [(Path(path).name, np.load(path)) for path in pictures]
    with Path(reply).open("w", encoding="ascii") as file:
        models = {name: one.path for name, one in bundle.variants.items()}
        models |= {f"{name}{INNER}": Path(path) for name, path in inner.items()}
        for recipe, path in models.items():
            model = runtime.Model(path, threads=1, operators=operators)
            for name, rgb in questions:
                tensor = model.tensor(rgb[None], bundle.pipeline)
                answer = model.invoke(tensor)
                line: dict[str, Any] = {
                    "recipe": recipe,
                    "input": name,
                    "delegate": model.delegate,
                    "rgb_sha256": hashlib.sha256(rgb.tobytes()).hexdigest(),
                    "tensor_sha256": hashlib.sha256(tensor.tobytes()).hexdigest(),
                    "dtype": str(answer.dtype),
                    "output": base64.b64encode(answer.tobytes()).decode("ascii"),
                    "runtime": installed.runtime_version(model.runtime),
                }
                file.write(json.dumps(line) + "\n")
                # Whoever waits counts the lines.
                file.flush()


if __name__ == "__main__":
    respond(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
