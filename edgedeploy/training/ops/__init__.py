"""TensorFlow Lite's builtin operators as functions of values.

Semantics and option tables are those of TensorFlow Lite's schema.fbs and its
reference kernels; shapes are worked out here because the file has to state them.
"""

from edgedeploy.training.ops.elementwise import (
    add,
    cast,
    divide,
    equal,
    floor_mod,
    greater,
    greater_equal,
    maximum,
    minimum,
    multiply,
    select,
    subtract,
    unary,
)
from edgedeploy.training.ops.reducing import (
    arg_max,
    matmul,
    reduce_max,
    reduce_mean,
    reduce_sum,
    softmax,
)
from edgedeploy.training.ops.shaping import (
    concatenate,
    cut,
    depth_to_space,
    fill,
    flat_rows,
    join,
    pad,
    pad_with,
    reshape,
    reshape_weights,
    space_to_depth,
    transpose,
    transpose_weights,
)
from edgedeploy.training.ops.windows import (
    conv_2d,
    depthwise_conv_2d,
    pool_2d,
    window_count,
)

__all__ = [
    "add",
    "arg_max",
    "cast",
    "concatenate",
    "conv_2d",
    "cut",
    "depth_to_space",
    "depthwise_conv_2d",
    "divide",
    "equal",
    "fill",
    "flat_rows",
    "floor_mod",
    "greater",
    "greater_equal",
    "join",
    "matmul",
    "maximum",
    "minimum",
    "multiply",
    "pad",
    "pad_with",
    "pool_2d",
    "reduce_max",
    "reduce_mean",
    "reduce_sum",
    "reshape",
    "reshape_weights",
    "select",
    "softmax",
    "space_to_depth",
    "subtract",
    "transpose",
    "transpose_weights",
    "unary",
    "window_count",
]
