"""Which operators of a SavedModel compute, and can do nothing else.

An allow list, since a list of what is forbidden would have to name every operator of
TensorFlow that prints to a file, dumps a tensor or reads a path: there are hundreds.
"""

from __future__ import annotations

from typing import Any

_ARITHMETIC = """
    Abs Add AddN AddV2 AccumulateNV2 ApproximateEqual ArgMax ArgMin Atan Atan2 Ceil
    ClipByValue Cos Cosh Cumprod Cumsum Div DivNoNan Equal Erf Erfc Exp Expm1 Floor
    FloorDiv FloorMod Greater GreaterEqual Inv IsFinite IsInf IsNan Less LessEqual Log
    Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod Mul MulNoNan Neg NotEqual
    Pow RealDiv Reciprocal Rint Round Rsqrt Sign Sin Sinh Sqrt Square SquaredDifference
    Sub Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy
"""
_NEURAL = """
    AvgPool BatchNormWithGlobalNormalization BiasAdd BiasAddV1 Conv2D
    Conv2DBackpropInput Conv3D DepthwiseConv2dNative DepthToSpace Dilation2D Elu
    FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel
    FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 L2Loss LRN LeakyRelu LogSoftmax
    MaxPool MaxPoolV2 MirrorPad QuantizeAndDequantizeV2 QuantizeAndDequantizeV3
    QuantizeAndDequantizeV4 Relu Relu6 Selu Sigmoid Softmax Softplus Softsign
    SpaceToDepth
"""
_ARRAYS = """
    All Any BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchToSpace BatchToSpaceND Bitcast
    BroadcastArgs BroadcastTo Bucketize Cast Concat ConcatV2 CropAndResize Diag
    DiagPart DynamicPartition DynamicStitch Einsum EnsureShape ExpandDims Fill Gather
    GatherNd GatherV2 Identity IdentityN InTopK InTopKV2 LinSpace MatMul MatrixBandPart
    MatrixDiag MatrixDiagV3 Max Mean Min OneHot OnesLike Pack Pad PadV2
    ParallelConcat PreventGradient Prod Range Rank Reshape ResizeArea ResizeBicubic
    ResizeBilinear ResizeNearestNeighbor Reverse ReverseV2 Roll ScatterNd Select
    SelectV2 Shape ShapeN Size Slice Snapshot SpaceToBatch SpaceToBatchND Split SplitV
    Squeeze StopGradient StridedSlice Sum TensorScatterAdd TensorScatterUpdate Tile
    TopK TopKV2 Transpose Unique Unpack Where ZerosLike
"""
_RANDOM = """
    Multinomial RandomStandardNormal RandomUniform RandomUniformInt StatelessMultinomial
    StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomNormal
    StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformV2
    TruncatedNormal
"""
_CONTROL = """
    Assert Case CheckNumerics Const Enter Exit If LoopCond Merge NextIteration NoOp
    PartitionedCall Placeholder PlaceholderWithDefault StatefulPartitionedCall
    StatelessCase StatelessIf StatelessWhile Switch While
"""
_VARIABLES = """
    AssignAddVariableOp AssignSubVariableOp AssignVariableOp DisableCopyOnRead
    ReadVariableOp ResourceGather VarHandleOp VarIsInitializedOp
"""
COMPUTING = frozenset(
    (_ARITHMETIC + _NEURAL + _ARRAYS + _RANDOM + _CONTROL + _VARIABLES).split()
)
"""Operators whose effects end in their outputs, the model's variables and errors."""

SAVING = frozenset(
    {
        "MergeV2Checkpoints",
        "RestoreV2",
        "SaveV2",
        "ShardedFilename",
        "StaticRegexFullMatch",
        "StringJoin",
    }
)
"""Operators of the two functions that TensorFlow adds to write and read variables."""


def find_unsafe(graph: Any) -> tuple[str, ...]:
    """Name the operators that may do more than compute.

    Args:
        graph: A SavedModel's `MetaGraphDef`.

    Returns:
        Their names, sorted; those that save variables among them where anything but
        TensorFlow's own saver might call them.
    """
    unsafe = {node.op for node in graph.graph_def.node} - COMPUTING
    for function in graph.graph_def.library.function:
        foreign = {node.op for node in function.node_def} - COMPUTING
        if foreign and foreign <= SAVING and _is_savers(graph, function.signature.name):
            continue
        unsafe |= foreign
    return tuple(sorted(unsafe))


def _is_savers(graph: Any, name: str) -> bool:
    """Whether a function is out of reach of all that is run when a model is loaded.

    With an object graph, TensorFlow runs what that names and what these functions
    call; the nodes of the main graph, where the saver's functions are called, it does
    not run. A name is looked for in the bytes: no field can be forgotten.
    """
    if not graph.HasField("object_graph_def"):
        return False
    word, library = name.encode(), graph.graph_def.library
    callers = [graph.object_graph_def, *library.gradient, *library.registered_gradients]
    callers += [one for one in library.function if one.signature.name != name]
    return all(word not in caller.SerializeToString() for caller in callers)
