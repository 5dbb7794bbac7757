"""Which operators XNNPACK left to LiteRT's own kernels, in words."""

from __future__ import annotations

from edgedeploy.report.data import ReportData, child, table
from edgedeploy.report.measured import primary_device
from edgedeploy.report.notation import finite

# What takes a network's time; a softmax on the reference kernel costs nothing.
_HEAVY = (
    *("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D"),
    *("FULLY_CONNECTED", "TRANSPOSE_CONV"),
)


def describe_fallback(data: ReportData, recipe: str) -> str:
    """Name the operators that ran outside XNNPACK.

    Args:
        data: The results; the benchmark's word counts before the evaluation's.
        recipe: The variant.

    Returns:
        One sentence, or empty where nothing was left or nothing is known.
    """
    left = _left(data, recipe)
    if not left:
        return ""
    names = ", ".join(f"{count} {name}" for name, count in left.items())
    return f"XNNPACK left to LiteRT's own kernels, slower as a rule: {names}."


def is_costly(data: ReportData, recipe: str) -> bool:
    """Tell whether products or convolutions are among the operators that were left."""
    return not _left(data, recipe).keys().isdisjoint(_HEAVY)


def _left(data: ReportData, recipe: str) -> dict[str, int]:
    device = primary_device(data)
    for facts in (
        table(data.benchmark, "devices", device, "variants", recipe),
        table(data.evaluation, "variants", recipe),
    ):
        found = child(facts, "fallback")
        if isinstance(found, dict):
            counts = {str(name): finite(count) for name, count in found.items()}
            return {name: int(count) for name, count in counts.items() if count}
    return {}
