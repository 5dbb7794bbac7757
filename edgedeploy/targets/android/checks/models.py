"""What each model of a package is, says, and needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import PurePosixPath

from edgedeploy.errors import EdgedeployError, FormatError, InputError
from edgedeploy.formats import metadata
from edgedeploy.formats.labels import parse_labels
from edgedeploy.formats.operator_versions import newest, runtime_since
from edgedeploy.formats.tflite import TfliteSummary, summarize
from edgedeploy.results import Check
from edgedeploy.targets.android.checks.contents import Contents, PackagedFile
from edgedeploy.targets.android.checks.libraries import Runtime

FLEX_LIBRARY = "libtensorflowlite_flex_jni.so"
# What a normalisation should make of 0..255; ImageNet's makes -2.2..2.7.
_SANE_LIMIT = 300.0
_LABELS_LIMIT_BYTES = 4 << 20


def check_model(
    contents: Contents, file: PackagedFile, runtimes: tuple[Runtime, ...]
) -> Iterator[Check]:
    """Check one model's labels, metadata and operators.

    Args:
        contents: The package.
        file: The model.
        runtimes: Those that the package brings.

    Yields:
        One check each; a model that cannot be read fails one.
    """
    try:
        model = contents.read(file)
        summary = summarize(model)
    except EdgedeployError as error:
        yield _failed(f"{file.name} is a model", str(error))
        return
    if _is_classifier(summary):
        yield from _check_classifier(contents, file, summary, model)
    else:
        yield Check(
            level="file",
            name=f"{file.name} labels",
            passed=None,
            detail="not looked for: it is no classifier of pictures",
        )
    yield _versions(file, summary, runtimes)
    yield from _custom(contents, file, summary)


def _is_classifier(summary: TfliteSummary) -> bool:
    """Whether one picture goes in and one score a class comes out."""
    if len(summary.inputs) != 1 or len(summary.outputs) != 1:
        return False
    picture, scores = summary.inputs[0].shape, summary.outputs[0].shape
    return (
        len(picture) == 4
        and picture[-1] in (1, 3)
        and len(scores) >= 1
        and all(size == 1 for size in scores[:-1])
    )


def _check_classifier(
    contents: Contents, file: PackagedFile, summary: TfliteSummary, model: bytes
) -> Iterator[Check]:
    try:
        described = metadata.read(model)
    except EdgedeployError as error:
        yield _failed(f"{file.name} metadata", str(error))
        return
    if described is None:
        yield _failed(
            f"{file.name} metadata",
            "the model carries no TFLite Metadata: no client knows its labels and "
            "normalisation",
        )
    else:
        yield _labels_inside(file, summary, described)
        yield _normalisation(file, summary, described)
    yield from _labels_beside(contents, file, summary)


def _failed(name: str, detail: str) -> Check:
    return Check(level="file", name=name, passed=False, detail=detail)


def _outputs(summary: TfliteSummary) -> int:
    return summary.outputs[0].shape[-1]


def _labels_inside(
    file: PackagedFile, summary: TfliteSummary, described: metadata.ModelMetadata
) -> Check:
    outputs, count = _outputs(summary), len(described.labels)
    return Check(
        level="file",
        name=f"{file.name} metadata",
        passed=count == outputs,
        detail=f"{count} labels for {outputs} outputs{_off_by_one(count, outputs)}, "
        f"mean {described.mean}, std {described.std}",
    )


def _off_by_one(labels: int, outputs: int) -> str:
    if labels - outputs == 1:
        return " (off by one: is the first label a background that the model lacks?)"
    if labels - outputs == -1:
        return " (off by one: is the first output a background without its label?)"
    return ""


def _normalisation(
    file: PackagedFile, summary: TfliteSummary, described: metadata.ModelMetadata
) -> Check:
    """See whether the normalisation, meant for 0..255, makes values networks take."""
    name = f"{file.name} normalisation"
    mean, std = described.mean, described.std
    dtype = summary.inputs[0].dtype
    if not mean or not std:
        # Clients put a uint8 picture in as it is; a float one they must normalise.
        return Check(
            level="file",
            name=name,
            passed=dtype != "float32",
            detail=f"none for a {dtype} input",
        )
    if not all(map(math.isfinite, (*mean, *std))) or 0.0 in std:
        return _failed(name, f"mean {mean}, std {std}: not numbers to divide by")
    pairs = zip(mean, std * len(mean) if len(std) == 1 else std, strict=False)
    ends = [(value - m) / s for m, s in pairs for value in (0.0, 255.0)]
    low, high = min(ends), max(ends)
    sane = max(abs(low), abs(high)) <= _SANE_LIMIT and high - low > 1 / 256
    hint = (
        ""
        if sane
        else "; mean and std count in 0..255: were these meant for pictures of 0..1?"
    )
    return Check(
        level="file",
        name=name,
        passed=sane,
        detail=f"0..255 becomes {low:.4g}..{high:.4g}{hint}",
    )


def _labels_beside(
    contents: Contents, file: PackagedFile, summary: TfliteSummary
) -> Iterator[Check]:
    """Compare with the label files nearest to the model, if there are any."""
    outputs = _outputs(summary)
    counts: dict[str, int] = {}
    for other in _nearest_labels(contents, file):
        try:
            text = contents.read(other, _LABELS_LIMIT_BYTES)
            counts[other.name] = len(parse_labels(text, other.name))
        except (FormatError, InputError) as error:
            yield _failed(f"{other.name}", str(error))
    if counts:
        fits = [name for name, count in counts.items() if count == outputs]
        said = ", ".join(
            f"{name} has {count}{_off_by_one(count, outputs)}"
            for name, count in counts.items()
        )
        yield Check(
            level="file",
            name=f"{file.name} labels",
            passed=bool(fits),
            detail=f"{outputs} outputs; {said}",
        )


def _nearest_labels(contents: Contents, file: PackagedFile) -> list[PackagedFile]:
    """Label files in the model's folder, or in the nearest one above that has some."""
    names = [
        one
        for one in contents.files
        if "label" in PurePosixPath(one.name).name.lower()
        and one.name.lower().endswith(".txt")
    ]
    for folder in PurePosixPath(file.name).parents:
        here = [one for one in names if PurePosixPath(one.name).parent == folder]
        if here:
            return here
    return []


def _versions(
    file: PackagedFile, summary: TfliteSummary, runtimes: tuple[Runtime, ...]
) -> Check:
    """Compare the operators' versions with the runtime in the package."""
    name = f"{file.name} runs on the runtime"
    builtin = [operator for operator in summary.operators if not operator.custom]
    since = [runtime_since(one.name, one.version) for one in builtin]
    unknown = sorted(
        f"{one.name}@{one.version}"
        for one, version in zip(builtin, since, strict=True)
        if version is None
    )
    needed = newest([version for version in since if version]) or "any"
    wants = f"its operators need {needed} or newer"
    if unknown:
        wants += f" (no version is known here for {', '.join(unknown)})"
    if not runtimes:
        return Check(
            level="file",
            name=name,
            passed=None,
            detail=f"{wants}; the package brings no runtime to compare with",
        )
    versions = [version for runtime in runtimes for version in runtime.versions]
    if not versions or needed == "any":
        return Check(
            level="file",
            name=name,
            passed=None,
            detail=f"{wants}; {', '.join(r.name for r in runtimes)} does not say which "
            "version it is",
        )
    # All ABIs of a package are of one release; the oldest decides.
    oldest = min(versions, key=_parts)
    return Check(
        level="file",
        name=name,
        passed=_parts(oldest) >= _parts(needed),
        detail=f"{wants}; the package brings {oldest}",
    )


def _custom(
    contents: Contents, file: PackagedFile, summary: TfliteSummary
) -> Iterator[Check]:
    names = summary.custom_ops
    flex = [name for name in names if name.startswith("Flex")]
    if flex:
        there = any(
            PurePosixPath(one.name).name == FLEX_LIBRARY for one in contents.files
        )
        yield Check(
            level="file",
            name=f"{file.name} Flex operators",
            passed=there,
            detail=f"{', '.join(flex)}: the package "
            f"{'brings' if there else 'lacks'} {FLEX_LIBRARY}, the Flex delegate",
        )
    own = [name for name in names if name not in flex]
    if own:
        yield Check(
            level="file",
            name=f"{file.name} custom operators",
            passed=None,
            detail=f"the app must register {', '.join(own)}",
        )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
