"""The learning curve as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from edgedeploy.workspace import write_bytes


def draw_curve(path: Path, title: str, epochs: Sequence[dict[str, float]]) -> None:
    """Draw loss and test accuracy over the epochs.

    Args:
        path: A .png to write.
        title: Above the picture.
        epochs: As of `ondevice.trainloop`; at least one.

    Raises:
        WorkspaceError: If it cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    numbers = [epoch["epoch"] for epoch in epochs]
    figure = Figure(figsize=(7.0, 3.2), layout="constrained")
    figure.suptitle(title)
    parts = (("loss", "training loss"), ("test_accuracy", "test accuracy"))
    for axes, (key, label) in zip(figure.subplots(1, 2), parts, strict=True):
        axes.plot(numbers, [epoch[key] for epoch in epochs], marker="o")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    drawn = io.BytesIO()
    # Without the library's version and date, the same curve gives the same bytes.
    figure.savefig(drawn, format="png", dpi=120, metadata={"Software": None})
    write_bytes(path, drawn.getvalue())
