"""A build: each stage asks for what it needs, so any of them can be the goal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from edgedeploy.build.context import Context
from edgedeploy.build.evaluation import evaluate_variants
from edgedeploy.build.pictures import Pictures, find_pictures
from edgedeploy.build.selection import (
    benchmark_variants,
    plain_words,
    select_variant,
)
from edgedeploy.build.variants import Variant, make_variants
from edgedeploy.build.weights import Weights, fetch_weights
from edgedeploy.catalog import model_specs
from edgedeploy.specs import ModelSpec


class Build:
    """The stages of one model; reading one runs it and all that it needs.

    Args:
        context: Options, workspace and voice.
    """

    def __init__(self, context: Context) -> None:
        self.context = context

    @property
    def spec(self) -> ModelSpec:
        """The model with the weights that were fetched."""
        return self.weights.spec

    @cached_property
    def weights(self) -> Weights:
        """The fetched weights."""
        return fetch_weights(self.context)

    @cached_property
    def pictures(self) -> Pictures:
        """The pictures, in their two roles."""
        return find_pictures(self.context, self.spec)

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The converted and quantised models."""
        return make_variants(self.context, self.weights, self.pictures)

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """The value of evaluation.json."""
        return evaluate_variants(self.context, self.spec, self.pictures, self.variants)

    @cached_property
    def benchmark(self) -> dict[str, Any]:
        """The value of benchmark.json."""
        measured = benchmark_variants(self.context, self.spec, self.variants)
        for line in plain_words(measured):
            self.context.voice.note(line)
        return measured

    @cached_property
    def selection(self) -> dict[str, Any]:
        """The value of selection.json."""
        return select_variant(
            self.context,
            self.pictures,
            self.variants,
            self.evaluation,
            self.benchmark if self.context.options.prefer == "fastest" else None,
        )


@contextmanager
def open_build(context: Context) -> Iterator[Build]:
    """Begin a build in the model's folder, keeping other processes out.

    Raises:
        InputError: If there is no such model.
        WorkspaceError: If the folder cannot be used.
    """
    # A misspelt model must not leave a folder of its name behind.
    model_specs(context.options.model)
    with context.workspace.exclusive(context.voice.note):
        yield Build(context)
