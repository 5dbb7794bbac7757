"""Classes added on the device: digits 5 to 9 for a backbone that never saw them.

A small backbone learns digits 0 to 4 in Keras, becomes int8, and gives features. Its
head, with five spare rows, then learns the other digits in LiteRT from 5, 50 or 500
pictures a class, alone or with 20 kept feature rows of each old class.

Run: python benchmarks/personalise.py [--seeds 5] [--json]; fetches MNIST once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

_SHOTS = (5, 50, 500)
_KEPT = 20
_OLD = 5
_BATCH = 20
_STEPS = 1500
_RATE = 0.001


def main() -> None:
    """Measure, and print accuracy of new and of old classes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="draws of pictures")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = _measure(given.seeds, Path(folder) / "head.tflite")
    if given.json:
        print(json.dumps(result, indent=2))
        return
    print(f"backbone: float {result['float_bytes']} bytes, int8 {result['int8_bytes']}")
    print(f"features: cosine {result['cosine']:.4f}; {result['step_us']:.0f} us a step")
    print(f"old classes before: {result['old_before']:.3f}")
    print("pictures  kept rows  new classes  old classes")
    for row in result["rows"]:
        print(
            f"{row['pictures']:>8}{row['kept']:>11}{row['new']:>13.3f}"
            f"{row['old']:>13.3f}"
        )


def _measure(seeds: int, path: Path) -> dict[str, Any]:
    import numpy as np

    from edgedeploy.fetch import fetch
    from edgedeploy.ondevice.learner import Examples, Learner
    from edgedeploy.training.backbone import export_backbone, split_backbone
    from edgedeploy.training.datasets import READERS
    from edgedeploy.training.export import export_trainable
    from edgedeploy.training.recipe import find_recipe
    from edgedeploy.workspace import cache_folder

    recipe = find_recipe("lenet_mnist")
    if recipe.data is None:
        raise SystemExit("the recipe names no data")
    fetched = fetch(recipe.data, cache=cache_folder())
    parts = READERS[recipe.data_format](fetched.path)
    train, test = parts["train"], parts["test"]
    model = _learn_old(train)
    backbone, head = split_backbone(model, trainable_last=2)
    old = train.labels < _OLD
    samples = train.x[old][:100].astype(np.float32)[:, None] / 255
    plain = export_backbone(backbone)
    small = export_backbone(backbone, representative=list(samples))
    pools = {c: np.flatnonzero(train.labels == c)[:700] for c in range(10)}
    rows = np.concatenate(list(pools.values()))
    place = {int(row): i for i, row in enumerate(rows)}
    features = _features(small, train.x[rows])
    exact = _features(plain, test.x[:300])
    tests = _features(small, test.x[:3000])
    labels = test.labels[:3000]
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(tests[:300], axis=1)
    cosine = float(((exact * tests[:300]).sum(1) / norms).mean())
    exported = export_trainable(head, batch_size=_BATCH, spare_classes=10 - _OLD)
    path.write_bytes(exported.data)
    learner = Learner(path)
    known = Examples(x=tests[labels < _OLD], labels=labels[labels < _OLD])
    fresh = Examples(x=tests[labels >= _OLD], labels=labels[labels >= _OLD])
    before = learner.evaluate(known)[0]
    found, spent = [], []
    for pictures in _SHOTS:
        for kept in (0, _KEPT):
            new, still = [], []
            for seed in range(seeds):
                rng = np.random.default_rng([seed, pictures])
                drawn = [rng.choice(pools[c], pictures, False) for c in range(_OLD, 10)]
                drawn += [rng.choice(pools[c], kept, False) for c in range(_OLD)]
                chosen = np.concatenate(drawn)
                x = features[[place[int(row)] for row in chosen]]
                spent.append(_learn(learner, x, train.labels[chosen], rng))
                new.append(learner.evaluate(fresh)[0])
                still.append(learner.evaluate(known)[0])
            found.append({
                "pictures": pictures, "kept": kept,
                "new": statistics.mean(new), "new_sd": statistics.pstdev(new),
                "old": statistics.mean(still), "old_sd": statistics.pstdev(still),
            })  # fmt: skip
    return {
        "seeds": seeds,
        "float_bytes": len(plain),
        "int8_bytes": len(small),
        "head_bytes": len(exported.data),
        "cosine": cosine,
        "old_before": before,
        "step_us": statistics.median(spent) / _STEPS * 1e6,
        "rows": found,
    }


def _learn_old(train: Any) -> Any:
    import keras
    import numpy as np
    from keras import layers

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(_OLD, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    old = train.labels < _OLD
    x = train.x[old].astype(np.float32) / 255
    model.fit(x, train.labels[old], batch_size=128, epochs=1, verbose=0)
    return model


def _features(data: bytes, pictures: Any) -> Any:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=data, num_threads=1).get_signature_runner(
        "features"
    )
    rows = [run(x=p[None].astype(np.float32) / 255)["features"] for p in pictures]
    return np.concatenate(rows)


def _learn(learner: Any, x: Any, labels: Any, rng: Any) -> float:
    """Train the head anew, and return the CPU seconds of its steps."""
    learner.initialise()
    # Every class as often as any other, however many pictures it has.
    counts = {int(label): int((labels == label).sum()) for label in set(labels)}
    chance = [1.0 / (len(counts) * counts[int(label)]) for label in labels]
    picks = [rng.choice(len(x), _BATCH, p=chance) for _ in range(_STEPS)]
    started = time.process_time()
    for pick in picks:
        learner.step(x[pick], labels[pick], _RATE)
    return time.process_time() - started


if __name__ == "__main__":
    main()
