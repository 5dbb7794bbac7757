"""The training loop: epochs of shuffled batches, checkpoints, early stop.

It runs the same on the host and on the device: NumPy and a runtime, nothing else. A
run that was killed goes on exactly where its last checkpoint stood.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from .contract import ContractError
from .learner import Examples, Learner

Progress = Callable[[int, "int | None"], None]

# A mean loss this many times that of guessing is a training gone astray.
_ASTRAY = 4.0
_WATCHED_STEPS = 8


class TrainingDivergedError(ContractError):
    """The loss left all bounds; the model was put back to where it was sound."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train.

    Attributes:
        epochs: Passes over the data, at least 1.
        learning_rate: Above 0.
        seed: Of the shuffling.
        patience: Epochs without a better test accuracy after which to stop; 0 never.
        checkpoint_s: Seconds between checkpoints inside an epoch.
    """

    epochs: int
    learning_rate: float
    seed: int = 0
    patience: int = 0
    checkpoint_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse values without sense."""
        if self.epochs < 1:
            raise ContractError(f"epochs must be at least 1; received {self.epochs}")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ContractError(
                f"the learning rate must be above 0, such as 0.001; received "
                f"{self.learning_rate}"
            )
        if self.patience < 0 or self.seed < 0:
            raise ContractError("patience and seed must be at least 0")


@dataclass(kw_only=True)
class _Standing:
    """Where a training stands; goes into the checkpoint as JSON."""

    epoch: int = 0
    position: int = 0
    loss_sum: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    epochs: list[dict[str, float]] = field(default_factory=list)


class Training:
    """One training of one model on one set of examples.

    Args:
        learner: The model.
        examples: What it learns from; at least one.
        test: What its accuracy is measured on after each epoch; at least one.
        plan: How.
        checkpoint: File to keep its state in, or None.
        progress: Called with the rows done and the rows of all epochs.

    Attributes:
        resumed: Whether a checkpoint was there to go on from.

    Raises:
        ContractError: If the checkpoint belongs to another model, data or plan, or
            there are no examples.
    """

    def __init__(
        self,
        learner: Learner,
        examples: Examples,
        test: Examples,
        plan: Plan,
        *,
        checkpoint: Path | None = None,
        progress: Progress = lambda _done, _total: None,
    ) -> None:
        if not len(examples) or not len(test):
            raise ContractError(
                f"training needs examples and tests; found {len(examples)} and "
                f"{len(test)}"
            )
        self._learner, self._plan = learner, plan
        self._examples, self._test = examples, test
        self._checkpoint, self._progress = checkpoint, progress
        self._settings = _digest(examples, test, plan)
        self._standing = _Standing()
        self._kept: dict[str, Any] | None = None
        self.resumed = self._resume()

    def run(self) -> list[dict[str, float]]:
        """Train until the epochs are done, or patience ends.

        Returns:
            For each epoch {"epoch", "loss", "test_accuracy", "cpu_s", "wall_s"}: the
            mean loss of its steps, and the time of its steps without evaluation.

        Raises:
            TrainingDivergedError: If the loss is no number or absurd. The model is
                then as it was at the last checkpoint, or at the start.
        """
        standing = self._standing
        while standing.epoch < self._plan.epochs and not self._is_stuck():
            self._run_epoch()
        return standing.epochs

    def _run_epoch(self) -> None:
        standing, rows = self._standing, len(self._examples)
        order = np.random.default_rng([self._plan.seed, standing.epoch]).permutation(
            rows
        )
        saved = time.monotonic()
        recent: list[float] = []
        while standing.position < rows:
            part = order[standing.position : standing.position + self._batch]
            recent = [*recent[1 - _WATCHED_STEPS :], self._timed_step(part)]
            self._watch(recent)
            done = standing.epoch * rows + standing.position
            self._progress(done, self._plan.epochs * rows)
            if time.monotonic() - saved > self._plan.checkpoint_s:
                self._save()
                saved = time.monotonic()
        self._end_epoch()

    @property
    def _batch(self) -> int:
        return self._learner.batch_size

    def _timed_step(self, part: Any) -> float:
        standing = self._standing
        wall, cpu = time.perf_counter(), time.process_time()
        loss = self._learner.step(
            self._examples.x[part],
            self._examples.labels[part],
            self._plan.learning_rate,
        )
        standing.cpu_s += time.process_time() - cpu
        standing.wall_s += time.perf_counter() - wall
        standing.position += len(part)
        standing.loss_sum += loss * len(part)
        return loss

    def _watch(self, recent: list[float]) -> None:
        """Stop a training whose loss is no number, or far beyond guessing."""
        bound = _ASTRAY * max(math.log(self._learner.classes), 1.0)
        mean = sum(recent) / len(recent)
        if math.isfinite(recent[-1]) and (len(recent) < _WATCHED_STEPS or mean < bound):
            return
        self._put_back(f"the loss became {recent[-1]:.4g}")

    def _end_epoch(self) -> None:
        standing = self._standing
        accuracy, loss = self._learner.evaluate(self._test)
        if not math.isfinite(loss):
            self._put_back(f"the test loss became {loss}")
        standing.epochs.append(
            {
                "epoch": standing.epoch + 1,
                "loss": standing.loss_sum / len(self._examples),
                "test_accuracy": accuracy,
                "cpu_s": round(standing.cpu_s, 4),
                "wall_s": round(standing.wall_s, 4),
            }
        )
        standing.epoch += 1
        standing.position = 0
        standing.loss_sum = standing.cpu_s = standing.wall_s = 0.0
        self._save()

    def _is_stuck(self) -> bool:
        """Tell whether the last epochs brought no better test accuracy."""
        seen = [epoch["test_accuracy"] for epoch in self._standing.epochs]
        patience = self._plan.patience
        if not patience or len(seen) <= patience:
            return False
        return max(seen[-patience:]) <= max(seen[:-patience])

    def _save(self) -> None:
        state = self._learner.save()
        if not all(np.isfinite(value).all() for value in state.values()):
            self._put_back("a weight became infinite")
        self._kept = state
        if self._checkpoint is None:
            return
        progress = {"settings": self._settings, **asdict(self._standing)}
        write_checkpoint(
            self._checkpoint,
            Checkpoint(model=self._learner.sha256, progress=progress, state=state),
        )

    def _put_back(self, what: str) -> None:
        if self._kept is None:
            self._learner.initialise()
        else:
            self._learner.restore(self._kept)
        raise TrainingDivergedError(
            f"training went astray in epoch {self._standing.epoch + 1}: {what} at a "
            f"learning rate of {self._plan.learning_rate:g}; the model is kept as it "
            "was before. Lower the learning rate, or look at the data"
        )

    def _resume(self) -> bool:
        found = None if self._checkpoint is None else read_checkpoint(self._checkpoint)
        if found is None:
            return False
        if found.model != self._learner.sha256:
            raise ContractError(
                f"{self._checkpoint} belongs to another model; delete it to begin anew"
            )
        if found.progress.get("settings") != self._settings:
            raise ContractError(
                f"{self._checkpoint} is of a training on other data or by another "
                "plan; delete it to begin anew"
            )
        self._standing = _read_standing(found.progress, str(self._checkpoint))
        self._learner.restore(found.state)
        self._kept = dict(found.state)
        return True


def _read_standing(progress: Mapping[str, Any], name: str) -> _Standing:
    values = {key: value for key, value in progress.items() if key != "settings"}
    try:
        standing = _Standing(**values)
        whole = standing.epoch >= 0 and standing.position >= 0
        rows = [float(epoch["test_accuracy"]) for epoch in standing.epochs]
    except (TypeError, KeyError, ValueError) as error:
        raise ContractError(f"{name}: its progress is damaged; delete it") from error
    if not whole or len(rows) != standing.epoch:
        raise ContractError(f"{name}: its progress is damaged; delete it")
    return standing


def _digest(examples: Examples, test: Examples, plan: Plan) -> str:
    """Tell trainings apart that must not go on from each other's checkpoints."""
    digest = hashlib.sha256()
    for part in (examples, test):
        digest.update(np.ascontiguousarray(part.x).tobytes())
        digest.update(np.asarray(part.labels, np.int64).tobytes())
    # More epochs, patience or checkpoints only make the same training longer.
    fixed = {"learning_rate": plan.learning_rate, "seed": plan.seed}
    digest.update(json.dumps(fixed).encode())
    return digest.hexdigest()
