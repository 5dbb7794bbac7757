"""Two builds, or two .tflite files, held against each other."""

from edgedeploy.compare.finding import Finding, Limits
from edgedeploy.compare.side import Side, read_side
from edgedeploy.compare.verdict import Verdict, compare_sides

__all__ = ["Finding", "Limits", "Side", "Verdict", "compare_sides", "read_side"]
