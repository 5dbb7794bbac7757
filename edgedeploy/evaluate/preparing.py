"""Ways from a picture file to the network's 8-bit picture, by name.

The contract's own way is one; how a device does it may be another. A pass names its
way, since a function cannot be sent to a child process or to another machine.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np

from edgedeploy.errors import EvaluationError
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.skew.table import PATHS

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTRACT = "contract"
# Name for `preparation`: "module:function", which takes a path or a file's bytes and
# the contract, gives uint8 RGB of the contract's size, and raises PictureError.
PREPARATIONS = {
    CONTRACT: "edgedeploy.ondevice.pictures:prepare",
    **{name: f"edgedeploy.skew.paths:{path.function}" for name, path in PATHS.items()},
}

Prepare = Callable[["str | bytes", ImagePipeline], "NDArray[np.uint8]"]


def find_preparation(name: str) -> Prepare:
    """Find a way of preparing pictures.

    Args:
        name: A key of `PREPARATIONS`.

    Raises:
        EvaluationError: If there is none of that name.
    """
    if name not in PREPARATIONS:
        raise EvaluationError(
            f"no way of preparing pictures is called {name!r}; expected "
            f"{', '.join(PREPARATIONS)}"
        )
    module, _, function = PREPARATIONS[name].partition(":")
    return cast(Prepare, getattr(importlib.import_module(module), function))
