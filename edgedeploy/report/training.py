"""The page of a training: its curve, and each epoch's figures."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgedeploy.report.templating import open_templates
from edgedeploy.workspace import write_bytes


def write_training_report(
    path: Path, curve: Mapping[str, Any], *, picture: bytes
) -> None:
    """Write the page.

    Args:
        path: Where it goes.
        curve: The value of curve.json.
        picture: The curve, a PNG.

    Raises:
        WorkspaceError: If it cannot be written; what was at `path` stays.
    """
    write_bytes(path, render_training(curve, picture=picture).encode("utf-8"))


def render_training(curve: Mapping[str, Any], *, picture: bytes) -> str:
    """Render a training as one HTML page that needs nothing else.

    Args:
        curve: The value of curve.json, with one epoch at least.
        picture: The curve, a PNG.

    Returns:
        A whole HTML document; the same values give the same text.
    """
    epochs = curve["epochs"]
    best = max(epochs, key=lambda epoch: float(epoch["test_accuracy"]))
    return (
        open_templates()
        .get_template("training.html")
        .render(
            model=curve["model"],
            best_accuracy=f"{100 * best['test_accuracy']:.2f} %",
            best_epoch=best["epoch"],
            model_mb=f"{curve['model_bytes'] / 1e6:.2f} MB",
            peak_mb=f"{curve['peak_rss_bytes'] / 1e6:.0f} MB",
            stopped_early=curve["stopped_early"],
            resumed=curve["resumed"],
            picture=base64.b64encode(picture).decode("ascii"),
            epochs=[
                {
                    "number": epoch["epoch"],
                    "loss": f"{epoch['loss']:.4f}",
                    "accuracy": f"{100 * epoch['test_accuracy']:.2f}",
                    "cpu": f"{epoch['cpu_s']:.1f}",
                    "wall": f"{epoch['wall_s']:.1f}",
                }
                for epoch in epochs
            ],
        )
    )
