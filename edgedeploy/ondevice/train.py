"""Train on the device: `python -m ondevice.train --data FOLDER`.

Needs NumPy, Pillow and a LiteRT runtime; no TensorFlow. Nothing leaves the device: the
pictures are read where they are, and the checkpoint holds weights alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import positive
from .checkpoint import read_checkpoint
from .contract import ContractError
from .installed import RUNTIMES
from .learner import Learner
from .traindata import read_examples
from .trainloop import Plan, Training

if TYPE_CHECKING:
    from collections.abc import Sequence

_FACTS_LIMIT_BYTES = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Train or evaluate, print what came of it, and return the exit code.

    Args:
        arguments: Words of the command line; None for the process's own.

    Returns:
        0 when done, 2 for a mistake or a training gone astray.
    """
    given = _parser().parse_args(arguments)
    try:
        result = _evaluate(given) if given.evaluate else _train(given)
    except ContractError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(result, indent=2))
        return 0
    for epoch in result.get("epochs", ()):
        print(
            f"epoch {epoch['epoch']:>3}  loss {epoch['loss']:.4f}  "
            f"test accuracy {epoch['test_accuracy']:.4f}  {epoch['wall_s']:.1f} s"
        )
    if "test_accuracy" in result:
        print(f"test accuracy {result['test_accuracy']:.4f}")
    return 0


def _parser() -> argparse.ArgumentParser:
    folder = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(prog="train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of examples")
    parser.add_argument("--model", type=Path, default=folder / "model.tflite")
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoint"))
    parser.add_argument("--epochs", type=positive, help="passes over the examples")
    parser.add_argument("--learning-rate", type=float, help="of each step")
    parser.add_argument("--seed", type=int, default=0, help="of the shuffling")
    parser.add_argument("--patience", type=int, default=0, help="for an early stop")
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--runtime", choices=("auto", *RUNTIMES), default="auto")
    parser.add_argument(
        "--evaluate", action="store_true", help="measure, learn nothing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    return parser


def _train(given: argparse.Namespace) -> dict[str, Any]:
    facts = _read_facts(given.model.with_name("training.json"))
    plan = Plan(
        epochs=given.epochs or facts["epochs"],
        learning_rate=given.learning_rate or facts["learning_rate"],
        seed=given.seed,
        patience=given.patience,
    )
    learner = Learner(given.model, threads=given.threads, runtime=given.runtime)
    parts = read_examples(given.data, learner.input_shape)
    training = Training(
        learner, parts["train"], parts["test"], plan, checkpoint=given.checkpoint
    )
    return {"epochs": training.run(), "resumed": training.resumed}


def _evaluate(given: argparse.Namespace) -> dict[str, Any]:
    learner = Learner(given.model, threads=given.threads, runtime=given.runtime)
    found = read_checkpoint(given.checkpoint)
    if found is None or found.model != learner.sha256:
        raise ContractError(
            f"{given.checkpoint}: no checkpoint of this model; train without --evaluate"
        )
    learner.restore(found.state)
    test = read_examples(given.data, learner.input_shape)["test"]
    accuracy, loss = learner.evaluate(test)
    return {"test_accuracy": accuracy, "test_loss": loss}


def _read_facts(path: Path) -> dict[str, Any]:
    """Read what the export suggested; a model without it needs no file."""
    facts: dict[str, Any] = {"epochs": 10, "learning_rate": 0.001}
    try:
        with path.open("rb") as file:
            known = json.loads(file.read(_FACTS_LIMIT_BYTES))
    except FileNotFoundError:
        return facts
    except (OSError, ValueError, RecursionError) as error:
        raise ContractError(f"{path}: cannot be read ({error})") from error
    for name, kind in (("epochs", int), ("learning_rate", float)):
        if isinstance(known, dict) and isinstance(known.get(name), kind):
            facts[name] = known[name]
    return facts


if __name__ == "__main__":
    sys.exit(main())
