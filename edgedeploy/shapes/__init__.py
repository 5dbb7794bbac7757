"""Models that take several sizes of picture: whether they answer right, and how fast.

A model is delivered once; the runtime resizes it. What that gives is held against the
same model fixed to each size, and timed size by size.
"""

from edgedeploy.shapes.measure import measure_sizes
from edgedeploy.shapes.resizing import check_resizing

__all__ = ["check_resizing", "measure_sizes"]
