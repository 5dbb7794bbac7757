"""A build: each stage asks for what it needs, so any of them can be the goal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from edgedeploy.catalog import model_specs
from edgedeploy.errors import InputError
from edgedeploy.formats.apksig import SigningKey
from edgedeploy.images.datasets import check_folder
from edgedeploy.report import ReportData
from edgedeploy.specs import PICTURE, ModelSpec
from edgedeploy.stages.android_packages import (
    measure_android,
    package_android,
    verified_packages,
)
from edgedeploy.stages.attribution import attribute_variants, known_attribution
from edgedeploy.stages.batching import benchmark_batches
from edgedeploy.stages.clustering import check_scheduler
from edgedeploy.stages.context import Context
from edgedeploy.stages.conversion import read_costs
from edgedeploy.stages.detection import detect_pipeline
from edgedeploy.stages.evaluation import evaluate_variants
from edgedeploy.stages.facts import build_facts
from edgedeploy.stages.packaging import (
    Packager,
    check_packaging,
    pi_bundles,
    signing_key,
)
from edgedeploy.stages.pictures import Pictures, find_pictures
from edgedeploy.stages.reporting import (
    report_data,
    write_html,
    write_manifest,
    write_measured,
)
from edgedeploy.stages.selection import (
    benchmark_variants,
    plain_words,
    select_variant,
)
from edgedeploy.stages.shapes import check_shapes, measure_shapes
from edgedeploy.stages.stability import check_halves, make_halves
from edgedeploy.stages.sweep import known_sweep
from edgedeploy.stages.variants import Variant, make_variants
from edgedeploy.stages.verification import verify_deliverables
from edgedeploy.stages.weights import Weights, fetch_weights
from edgedeploy.stages.widening import begin_anew, widen


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
        check_scheduler(self.context)
        return fetch_weights(self.context)

    @cached_property
    def pictures(self) -> Pictures:
        """The pictures, in their two roles."""
        return find_pictures(self.context, self.spec)

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The converted and quantised models."""
        check_halves(self.context, self.spec, self.pictures)
        begin_anew(self.context)
        variants = make_variants(self.context, self.weights, self.pictures)
        check_shapes(self.context, self.spec, variants)
        return variants

    @cached_property
    def detection(self) -> dict[str, Any]:
        """The value of pipeline.json: which contract the pictures speak for."""
        return detect_pipeline(self.context, self.spec, self.pictures, self.variants)

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """The value of evaluation.json."""
        measured = self._evaluate()
        while self._widened(measured):
            self.variants = make_variants(self.context, self.weights, self.pictures)
            measured = self._evaluate()
        return measured

    @cached_property
    def settled(self) -> tuple[Variant, ...]:
        """The variants as they are once the evaluation asks for no others."""
        _ = self.evaluation
        return self.variants

    def _evaluate(self) -> dict[str, Any]:
        context, pictures, variants = self.context, self.pictures, self.variants
        halves = make_halves(context, self.weights, pictures, variants)
        return evaluate_variants(context, self.spec, pictures, variants, halves)

    def _widened(self, measured: Mapping[str, Any]) -> bool:
        facts = {variant.recipe: variant.facts for variant in self.variants}
        return bool(widen(self.context, facts, measured))

    @cached_property
    def attribution(self) -> dict[str, Any]:
        """The value of attribution.json; only ever measured when it is asked for."""
        return attribute_variants(self.context, self.spec, self.pictures, self.variants)

    @cached_property
    def benchmark(self) -> dict[str, Any]:
        """The value of benchmark.json."""
        measured = benchmark_variants(self.context, self.variants)
        for line in plain_words(measured):
            self.context.voice.note(line)
        return measured

    @cached_property
    def batches(self) -> dict[str, Any]:
        """The value of batches.json; only ever measured when it is asked for."""
        return benchmark_batches(self.context, self.variants)

    @cached_property
    def selection(self) -> dict[str, Any]:
        """The value of selection.json."""
        return select_variant(
            self.context,
            self.pictures,
            self.settled,
            self.evaluation,
            self.benchmark if self.context.options.prefer == "fastest" else None,
        )

    @cached_property
    def shapes(self) -> dict[str, Any] | None:
        """The value of shapes.json, or None where the model takes one size."""
        return measure_shapes(
            self.context, self.spec, self.settled, self.selection["choice"]
        )

    @cached_property
    def packager(self) -> Packager:
        """What writes the deliverables."""
        return Packager(
            context=self.context,
            weights=self.weights,
            variants=self.settled,
            choice=self.selection["choice"],
            key=self.signing_key,
        )

    @cached_property
    def signing_key(self) -> SigningKey:
        """What signs the APK; a password is asked for once."""
        return signing_key(self.context.options)

    @cached_property
    def android(self) -> dict[str, Path]:
        """The Android packages, by the stage that made each."""
        return package_android(self.packager)

    @cached_property
    def android_sizes(self) -> dict[str, Any]:
        """The value of android/sizes.json."""
        return measure_android(self.packager)

    @cached_property
    def raspberry_pi(self) -> dict[str, Path]:
        """The Raspberry Pi bundles, by the stage that made each."""
        context = self.context
        return {
            bundle.stage: self.packager.raspberry_pi(bundle)
            for bundle in pi_bundles(context.options, context.workspace.model)
        }

    @cached_property
    def verification(self) -> dict[str, Any]:
        """What was found in the deliverables."""
        made = [*verified_packages(self.android).items(), *self.raspberry_pi.items()]
        return verify_deliverables(self.context, made)

    @cached_property
    def report(self) -> ReportData:
        """What report.html shows; reading it writes manifest and report too."""
        facts = build_facts(
            self.context, self.weights, self.settled, self.selection["choice"]
        )
        verification = self.verification
        recipes = [variant.recipe for variant in self.settled]
        conversion = read_costs(self.context.workspace, recipes)
        manifest = write_manifest(self.context, self.spec, facts)
        write_measured(
            self.context,
            self.evaluation,
            self.benchmark,
            verification,
            self.shapes,
            self.android_sizes,
            conversion,
        )
        results = {
            "manifest": manifest,
            "evaluation": self.evaluation,
            "benchmark": self.benchmark,
            "selection": self.selection,
            "verification": verification,
            "shapes": self.shapes,
            "layers": known_attribution(self.context, self.settled),
            "conversion": conversion,
            "sweep": known_sweep(self.context, self.settled),
            "android_sizes": self.android_sizes,
        }
        data = report_data(
            self.spec, self.pictures, results, tuple(self.context.voice.lasting)
        )
        write_html(self.context, data)
        return data


@contextmanager
def open_build(context: Context, *, pictures_out: bool = False) -> Iterator[Build]:
    """Begin a build in the model's folder, keeping other processes out.

    Args:
        context: Options, workspace and voice.
        pictures_out: Whether the task knows networks whose output is a picture.

    Raises:
        InputError: If a value is one that a later stage would refuse.
        WorkspaceError: If the folder cannot be used.
    """
    if not pictures_out:
        _refuse_pictures(context)
    check_packaging(context.options, context.workspace.model)
    options = context.options
    # Before weights are fetched, and before another build is waited for.
    for folder in filter(None, (options.images, options.calibration, options.finetune)):
        check_folder(folder)
    job = Build(context)
    if context.options.keystore or context.options.rotated_from:
        # A wrong password shall not come to light after minutes of converting.
        _ = job.signing_key
    with context.workspace.exclusive(context.voice.note):
        yield job


def _refuse_pictures(context: Context) -> None:
    spec = model_specs(context.options.model)[0]
    if spec.outputs == PICTURE:
        raise InputError(
            f"model {spec.name}: its output is a picture, not classes, which inv sweep "
            "alone takes"
        )
