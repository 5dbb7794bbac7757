"""What an app would notice before the first picture: contract, labels, tensors."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

from edgedeploy.compare.finding import Finding, Limits
from edgedeploy.formats.operator_versions import newest

if TYPE_CHECKING:
    from edgedeploy.compare.side import Shipped, Side
    from edgedeploy.formats.tflite import TensorInfo, TfliteSummary

_SHOWN = 3


def compare_structure(old: Side, new: Side, limits: Limits) -> Iterator[Finding]:
    """Compare contract, labels, tensors, operators, runtime and sizes, in this order.

    Args:
        old: The side that is in use.
        new: The side that shall replace it.
        limits: What may grow.
    """
    yield _contract(old, new)
    yield _labels(old.shipped, new.shipped)
    yield _tensors(old.shipped.summary, new.shipped.summary)
    yield _operators(old.shipped.summary, new.shipped.summary)
    yield _runtime(old.shipped, new.shipped)
    for name, before, after in (
        ("size", old.shipped.size_bytes, new.shipped.size_bytes),
        ("download", old.shipped.deflated_bytes, new.shipped.deflated_bytes),
    ):
        growth = after / before - 1
        yield Finding(
            name=name,
            old=f"{before / 1e6:.3f} MB",
            new=f"{after / 1e6:.3f} MB",
            change=growth,
            limit=limits.max_size_growth,
            passed=growth <= limits.max_size_growth,
        )


def _contract(old: Side, new: Side) -> Finding:
    if old.pipeline is None or new.pipeline is None:
        return Finding(
            name="contract",
            old="",
            new="",
            passed=None,
            detail="a single file does not say how pictures become tensors",
        )
    before, after = old.pipeline.to_dict(), new.pipeline.to_dict()
    differing = {
        field: (before.get(field), after.get(field))
        for field in sorted({*before, *after})
        if before.get(field) != after.get(field)
    }
    return Finding(
        name="contract",
        old=old.pipeline.digest()[:12],
        new=new.pipeline.digest()[:12],
        passed=not differing,
        detail="; ".join(
            f"{field}: {was} -> {now}" for field, (was, now) in differing.items()
        ),
    )


def _labels(old: Shipped, new: Shipped) -> Finding:
    if not old.labels or not new.labels:
        return Finding(
            name="labels",
            old=str(len(old.labels)),
            new=str(len(new.labels)),
            passed=None,
            detail="a file carries no labels",
        )
    differing = [
        f"{index}: {was!r} -> {now!r}"
        for index, (was, now) in enumerate(zip_longest(old.labels, new.labels))
        if was != now
    ]
    return Finding(
        name="labels",
        old=str(len(old.labels)),
        new=str(len(new.labels)),
        passed=not differing,
        detail=_listed(differing),
    )


def _tensors(old: TfliteSummary, new: TfliteSummary) -> Finding:
    before, after = (
        f"{', '.join(map(_tensor, side.inputs))} in, "
        f"{', '.join(map(_tensor, side.outputs))} out"
        for side in (old, new)
    )
    rescaled = [
        f"{was.dtype} scale {was.scale[0]:.6g} -> {now.scale[0]:.6g}"
        for was, now in zip(
            (*old.inputs, *old.outputs), (*new.inputs, *new.outputs), strict=False
        )
        # Whoever reads them from the file, or from contract.json, sees no change.
        if was.scale and now.scale and was.scale[0] != now.scale[0]
    ]
    return Finding(
        name="tensors",
        old=before,
        new=after,
        passed=before == after,
        detail=_listed(rescaled),
    )


def _tensor(tensor: TensorInfo) -> str:
    sizes = "x".join("?" if n < 0 else str(n) for n in tensor.shape_signature)
    return f"{tensor.dtype} {sizes or 'scalar'}"


def _operators(old: TfliteSummary, new: TfliteSummary) -> Finding:
    before = {f"{op.name}@{op.version}": op.count for op in old.operators}
    after = {f"{op.name}@{op.version}": op.count for op in new.operators}
    differing = [
        f"{name} {before.get(name, 0)} -> {after.get(name, 0)}"
        for name in sorted({*before, *after})
        if before.get(name, 0) != after.get(name, 0)
    ]
    # Another graph is no fault; an operator that the app has to register is one.
    strangers = sorted({*new.custom_ops} - {*old.custom_ops})
    return Finding(
        name="operators",
        old=str(sum(before.values())),
        new=str(sum(after.values())),
        passed=not strangers,
        detail=f"the app must register {', '.join(strangers)}"
        if strangers
        else _listed(differing),
    )


def _runtime(old: Shipped, new: Shipped) -> Finding:
    known = bool(old.min_runtime and new.min_runtime)
    return Finding(
        name="runtime",
        old=old.min_runtime,
        new=new.min_runtime,
        passed=newest([old.min_runtime, new.min_runtime]) == old.min_runtime
        if known
        else None,
        detail=""
        if known
        else "the oldest TensorFlow Lite with all operators is unknown",
    )


def _listed(items: list[str]) -> str:
    more = len(items) - _SHOWN
    return "; ".join(items[:_SHOWN]) + (f"; {more} more" if more > 0 else "")
