"""Leave the page on disk, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from edgedeploy.report.data import ReportData
from edgedeploy.report.page import render
from edgedeploy.workspace import write_bytes


def write_report(path: Path, data: ReportData) -> None:
    """Render the report and put it in place in one step.

    Args:
        path: Where the page goes.
        data: The build's results.

    Raises:
        WorkspaceError: If the page cannot be written; what was at `path` stays.
    """
    write_bytes(path, render(data).encode("utf-8"))
