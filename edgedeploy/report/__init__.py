"""What a build tells people: one self-contained page, and a summary on the terminal."""

from edgedeploy.report.data import ReportData
from edgedeploy.report.page import render
from edgedeploy.report.terminal import print_summary
from edgedeploy.report.write import write_report

__all__ = ["ReportData", "print_summary", "render", "write_report"]
