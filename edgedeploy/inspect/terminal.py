"""A model's inspection for people, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

_LABELS_SHOWN = 3


def print_inspection(console: Console, found: Mapping[str, Any]) -> None:
    """Show what `inspect_model` found.

    Args:
        console: Where to.
        found: The value of `inspect_model`.
    """
    size = found["size_bytes"] / 1e6
    _say(console, f"{found['path']}: {size:.2f} MB, sha256 {found['sha256'][:16]}…")
    if found["description"]:
        _say(console, found["description"])
    for role in ("inputs", "outputs"):
        for tensor in found[role]:
            _say(console, f"{role[:-1]}: {_tensor(tensor)}")
    for signature in found["signatures"]:
        inputs, outputs = (
            ", ".join(signature["inputs"]),
            ", ".join(signature["outputs"]),
        )
        _say(
            console,
            f"signature {signature['key']!r} (subgraph {signature['subgraph']}): "
            f"{inputs} -> {outputs}",
        )
    _say(console, f"flexible: {_flexible(found['flexible'])}")
    _say(console, f"weights: {_weights(found['weight_bytes'])}")
    _say(console, f"runtime: {_runtime(found['min_runtime_version'])}")
    for line in _metadata(found):
        _say(console, line)
    console.print()
    _operators(console, found["operators"])
    _xnnpack(console, found["xnnpack"])
    for field, reason in found["unmeasured"].items():
        _say(console, f"not measured: {field}: {reason}", style="yellow")


def _say(console: Console, line: str, style: str = "") -> None:
    # Names come from the file: escape codes and line breaks in them stay out.
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    console.print(Text(clean, style))


def _tensor(tensor: Mapping[str, Any]) -> str:
    sizes = "x".join("?" if n < 0 else str(n) for n in tensor["shape_signature"])
    text = f"{tensor['name']}: {tensor['dtype']} {sizes or 'scalar'}"
    if tensor["scale"]:
        text += f", scale {tensor['scale']:g}, zero point {tensor['zero_point']}"
    return text


def _flexible(flexible: Sequence[Mapping[str, Any]]) -> str:
    parts = [
        f"{item['role']} {item['tensor']} (dimension "
        f"{', '.join(str(axis) for axis in item['dimensions'])})"
        for item in flexible
    ]
    return "; ".join(parts) or "no dimension"


def _weights(sizes: Mapping[str, int]) -> str:
    parts = [f"{dtype} {size / 1e6:.3f} MB" for dtype, size in sizes.items()]
    return ", ".join(parts) or "none"


def _runtime(versions: Mapping[str, str | None]) -> str:
    declared = versions["declared"] or "nothing"
    needed = versions["operators"] or "unknown"
    return f"declares {declared}; its operators need {needed}"


def _metadata(found: Mapping[str, Any]) -> Iterator[str]:
    metadata = found["metadata"]
    yield f"metadata: {', '.join(metadata['entries']) or 'none'}"
    content = metadata["tflite"]
    if content:
        labels = content["labels"]
        shown = ", ".join(labels[:_LABELS_SHOWN])
        more = ", …" if len(labels) > _LABELS_SHOWN else ""
        yield f"  {content['name']} {content['version']}, {content['licence']}"
        if labels:
            yield f"  {len(labels)} labels: {shown}{more}"
        if content["mean"]:
            yield f"  mean {list(content['mean'])}, std {list(content['std'])}"
    files = found["associated_files"]
    yield f"associated files: {', '.join(files) or 'none'}"


def _operators(console: Console, operators: Sequence[Mapping[str, Any]]) -> None:
    grid = Table(box=None, pad_edge=False)
    for name in ("operator", "version", "count", "XNNPACK", "left because of"):
        last = name == "left because of"
        numeric = name in ("version", "count", "XNNPACK")
        grid.add_column(name, no_wrap=not last, justify="right" if numeric else "left")
    for operator in operators:
        took = operator["xnnpack"]
        reasons = (
            [f"{count} x {why}" for why, count in took["left"].items()]
            if (took)
            else []
        )
        name = f"{operator['name']}{' (custom)' if operator['custom'] else ''}"
        grid.add_row(
            Text(name[:28]),
            str(operator["version"]),
            str(operator["count"]),
            "?" if took is None else str(took["taken"]),
            Text("; ".join(reasons)),
        )
    console.print(grid)


def _xnnpack(console: Console, xnnpack: Mapping[str, Any] | None) -> None:
    if xnnpack:
        parts = xnnpack["partitions"]
        _say(
            console,
            f"XNNPACK in {xnnpack['runtime']} takes {xnnpack['taken']} of "
            f"{xnnpack['operators']} operators, in {parts} part"
            f"{'' if parts == 1 else 's'}",
        )
