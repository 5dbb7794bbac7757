"""The self-test: does this machine give the answers that were promised?

Golden vectors are replayed step by step, so that a failure names the step: the files,
the labels, crop and resize, normalisation, or the network.

Each variant was asked twice where the bundle was made, with XNNPACK and without any
delegate: on 32-bit Arm, tflite-runtime has none. The answers that fit the delegate in
use are replayed. LiteRT's quantised softmax has a kernel of its own on 64-bit Arm,
whose answers the bundle has as well. Where answers are missing, a quantised output may
be one step off, and the report says so.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .bundle import default_folder, hash_file, place, read_bundle, read_document
from .classifier import open_table
from .comparison import compare_rgb, compare_scores, compare_signature, compare_tensor
from .contract import ContractError, normalise
from .delivered import BundleError, UnknownVariant
from .installed import RUNTIMES, resolve_runtime, runtime_version
from .libraries import find_libraries
from .pictures import prepare
from .runtime import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .delivered import Bundle, DeliveredVariant, Expected, GoldenVector

MANIFEST = "manifest.json"

Check = dict[str, Any]


def run_selftest(
    folder: Path | str,
    runtime: str = "auto",
    recipes: Sequence[str] = (),
    *,
    native: bool = True,
) -> dict[str, Any]:
    """Replay a bundle's golden vectors.

    Args:
        folder: The unpacked bundle.
        runtime: A name of `installed.RUNTIMES`, or "auto".
        recipes: Variants to replay; none for all.
        native: Whether the bundle's own native code may run; without it, models that
            need operators of the bundle are not run.

    Returns:
        {"passed", "model", "weights", "runtime", "runtime_version", "delegates":
        {recipe: name}, "notes": [text], "checks": [{"name", "passed", "detail"}]}.
        Everything that can be wrong with a bundle is a failed check, not an error; a
        check that was not made has passed None, which fails nothing.

    Raises:
        RuntimeUnavailable: If no runtime of that name works here.
        UnknownVariant: If the bundle has no such variant.
    """
    name = resolve_runtime(runtime)
    report: dict[str, Any] = {
        "passed": False,
        "model": None,
        "weights": None,
        "runtime": name,
        "runtime_version": runtime_version(name),
        "delegates": {},
        "notes": [],
        "checks": [],
    }
    checks: list[Check] = report["checks"]
    _attempt(checks, "files", lambda: _check_files(Path(folder)))
    try:
        bundle = read_bundle(Path(folder))
    except ContractError as error:
        checks.append(_check("contract", False, str(error)))
        return report
    checks.append(_check("contract", True, f"{bundle.title} ({bundle.weights})"))
    report |= {"model": bundle.model, "weights": bundle.weights}
    variants = [bundle.variant(recipe) for recipe in recipes or bundle.variants]
    pictures = _replay_pictures(checks, bundle)
    if bundle.operators and not native:
        names = ", ".join(operator.name for operator in bundle.operators)
        detail = f"not run here: they need {names}, native code of the bundle"
        checks.append({"name": "models", "passed": None, "detail": detail})
        variants = []
    for variant in variants:
        _replay_variant(report, bundle, variant, pictures)
    report["passed"] = all(check["passed"] is not False for check in checks)
    return report


def _check(name: str, passed: bool, detail: str) -> Check:
    return {"name": name, "passed": passed, "detail": detail}


def _attempt(checks: list[Check], name: str, run: Callable[[], str]) -> bool:
    """Run one check: its text is what was found, its ContractError what is wrong."""
    try:
        checks.append(_check(name, True, run()))
    except ContractError as error:
        checks.append(_check(name, False, str(error)))
    return bool(checks[-1]["passed"])


def _check_files(folder: Path) -> str:
    files = read_document(folder / MANIFEST).get("files")
    if not isinstance(files, dict) or not files:
        raise BundleError(f"{folder / MANIFEST}: lists no files")
    for name, facts in files.items():
        promised = facts.get("sha256") if isinstance(facts, dict) else None
        found = hash_file(place(folder, name))
        if found != promised:
            raise BundleError(
                f"{name}: expected sha256 {promised}, found {found}; unpack or "
                "install the bundle again"
            )
    return f"{len(files)} files have the manifest's digests"


def _replay_pictures(
    checks: list[Check], bundle: Bundle
) -> list[tuple[GoldenVector, NDArray[np.uint8]]]:
    """Check crop, resize and normalisation; give the pictures that came out right."""
    good: list[tuple[GoldenVector, NDArray[np.uint8]]] = []
    if not bundle.golden:
        checks.append(_check("golden", False, "the bundle has no golden vectors"))
    for vector in bundle.golden:

        def run(vector: GoldenVector = vector) -> str:
            rgb = prepare(vector.path, bundle.pipeline)
            compare_rgb(vector, rgb)
            compare_tensor(vector, normalise(rgb, bundle.pipeline))
            good.append((vector, rgb))
            return "RGB equal, tensor within 1e-6"

        _attempt(checks, f"picture {vector.path.name}", run)
    return good


def _replay_variant(
    report: dict[str, Any],
    bundle: Bundle,
    variant: DeliveredVariant,
    pictures: Sequence[tuple[GoldenVector, NDArray[np.uint8]]],
) -> None:
    """Load a model and replay every picture; later checks need the earlier ones."""
    checks, recipe = report["checks"], variant.recipe
    loaded: list[Model] = []

    def load() -> str:
        # The manifest may be missing or lie; a model that is not the contract's must
        # not even be parsed.
        if hash_file(variant.path) != variant.sha256:
            raise BundleError(f"{variant.path.name}: not the contract's sha256")
        model = Model(
            variant.path,
            runtime=report["runtime"],
            operators=find_libraries(bundle),
        )
        compare_signature(bundle, variant, model)
        loaded.append(model)
        table = open_table(bundle)
        voters = f", {table.rows} neighbours" if table else ""
        return f"{model.output.shape[-1]} outputs, {len(bundle.labels)} labels{voters}"

    if not _attempt(checks, f"{recipe} model", load):
        return
    model = loaded[0]
    report["delegates"][recipe] = model.delegate
    plain = _is_plain(variant, model, [vector for vector, _ in pictures])
    tolerance = variant.tolerance if plain else _tolerance(report, variant, model)
    for vector, rgb in pictures:

        def run(vector: GoldenVector = vector, rgb: Any = rgb) -> str:
            answers = _promised(vector, recipe, plain=plain)
            if recipe not in answers:
                raise BundleError(f"{vector.path.name}: no answer for {recipe}")
            raw = model.invoke(model.tensor(rgb[None], bundle.pipeline))
            scores = model.real(raw)[0]
            return compare_scores(answers[recipe], scores, tolerance, raw=raw.tobytes())

        _attempt(checks, f"{recipe} on {vector.path.name}", run)


def _is_plain(
    variant: DeliveredVariant, model: Model, vectors: Sequence[GoldenVector]
) -> bool:
    """Whether the answers without delegate are those to hold the model against."""
    if model.delegate != "none" or variant.delegate == "none":
        return False
    return all(variant.recipe in vector.undelegated for vector in vectors)


def _promised(
    vector: GoldenVector, recipe: str, *, plain: bool
) -> Mapping[str, Expected]:
    """Give the answers that fit the delegate in use and the processor."""
    if plain:
        return vector.undelegated
    # A 32-bit system can run on a 64-bit kernel, which platform then names.
    on_arm64 = platform.machine() == "aarch64" and sys.maxsize > 2**32
    if on_arm64 and recipe in vector.arm64:
        return vector.arm64
    return vector.expected


def _tolerance(
    report: dict[str, Any], variant: DeliveredVariant, model: Model
) -> float:
    """Allow one output step where the promise of equality cannot hold."""
    if model.delegate == variant.delegate:
        return variant.tolerance
    # One step is allowed for the output's rounding; 1 % is for the comparison's own.
    step = 1.01 * model.output.scale
    tolerance = max(variant.tolerance, step)
    report["notes"].append(
        f"{variant.recipe}: {report['runtime']} runs it with delegate "
        f"{model.delegate}, but the tolerance was made for {variant.delegate}; "
        f"{tolerance:.3g} is allowed instead of {variant.tolerance:.3g}"
    )
    return tolerance


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the self-test from the command line.

    Returns:
        0 if everything passed, 1 if not, or 2 for a bad value.
    """
    parser = argparse.ArgumentParser(
        prog="selftest", description="Replay the bundle's golden vectors here."
    )
    parser.add_argument("--folder", type=Path, default=None, help="the bundle")
    parser.add_argument(
        "--variant", action="append", default=[], help="recipe; may be repeated"
    )
    parser.add_argument("--runtime", choices=("auto", *RUNTIMES), default="auto")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    folder = options.folder or default_folder()
    try:
        report = run_selftest(folder, options.runtime, options.variant)
    except ContractError as error:
        print(f"selftest: {error}", file=sys.stderr)
        return 2 if isinstance(error, UnknownVariant) else 1
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        _print(report)
    return 0 if report["passed"] else 1


def _print(report: Mapping[str, Any]) -> None:
    print(f"runtime {report['runtime']} {report['runtime_version']}")
    for note in report["notes"]:
        print(f"note    {note}")
    for check in report["checks"]:
        word = "ok    " if check["passed"] else "FAILED"
        print(f"{word}  {check['name']}: {check['detail']}")
    print("self-test passed" if report["passed"] else "self-test FAILED")


if __name__ == "__main__":
    sys.exit(main())
