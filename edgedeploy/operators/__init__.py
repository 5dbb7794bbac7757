"""Operators of one's own: kept in a model's graph, compiled, and registered.

Registering at run time is `edgedeploy.ondevice.custom_ops`.
"""

from edgedeploy.operators.compile import Library, Toolchain, compile_op, toolchains
from edgedeploy.operators.fuse import Fusion, fuse_layer

__all__ = [
    "Fusion",
    "Library",
    "Toolchain",
    "compile_op",
    "fuse_layer",
    "toolchains",
]
