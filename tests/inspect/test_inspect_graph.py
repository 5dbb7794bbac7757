import struct

import pytest

from edgedeploy.errors import FormatError
from edgedeploy.inspect.graph import read_graphs
from edgedeploy.inspect.limits import dynamic_tensors, explain


def test_the_graph_is_the_one_that_was_written(hand_made):
    (graph,) = read_graphs(hand_made.serialise(hand_made.make_model()))
    assert [(n.kind, n.version, n.inputs, n.outputs) for n in graph.nodes] == [
        ("RESHAPE", 1, (0, 1), (2,)),
        ("FULLY_CONNECTED", 2, (2, 3, -1), (4,)),
    ]
    assert [t.name for t in graph.tensors if t.constant] == ["shape", "weights"]
    assert graph.tensors[0].shape_signature == (-1, 2, 2, 3)
    assert (graph.inputs, graph.outputs) == ((0,), (4,))


def test_a_fused_activation_is_read(hand_made):
    model = hand_made.make_model()
    # schema.fbs: ActivationFunctionType TANH = 4.
    model.subgraphs[0].operators[1].builtinOptions.fusedActivationFunction = 4
    (graph,) = read_graphs(hand_made.serialise(model))
    assert graph.nodes[1].activation == "TANH"
    assert explain(graph.nodes[1], graph, frozenset()) == "the fused activation TANH"


def test_a_tensor_number_past_the_end_is_refused(hand_made):
    model = hand_made.make_model()
    model.subgraphs[0].operators[1].inputs = [2, 99, -1]
    with pytest.raises(FormatError, match="tensor 99 of 5"):
        read_graphs(hand_made.serialise(model))


def test_what_follows_a_computed_shape_has_a_dynamic_shape_too(hand_made):
    model = hand_made.make_model()
    model.buffers[1].data = None
    (graph,) = read_graphs(hand_made.serialise(model))
    dynamic = dynamic_tensors(graph)
    assert dynamic == {2, 4}
    assert "its new shape is computed" in explain(graph.nodes[0], graph, dynamic)
    assert "an input's is computed" in explain(graph.nodes[1], graph, dynamic)


def test_a_scale_of_zero_is_named(hand_made):
    model = hand_made.make_model(hand_made.schema.TensorType.INT8)
    model.subgraphs[0].tensors[4] = hand_made.tensor(
        "scores", [1, 4], hand_made.schema.TensorType.INT8, 0, 0.0
    )
    (graph,) = read_graphs(hand_made.serialise(model))
    reason = explain(graph.nodes[1], graph, frozenset())
    assert reason == "the scale 0 of tensor 'scores'"


@pytest.mark.parametrize(
    ("kind", "dtype", "reason"),
    [
        ("PACK", "FLOAT32", "XNNPACK has no such operator"),
        ("SOFTMAX", "INT8", "8-bit values; XNNPACK has it for float32 alone"),
        ("ADD", "INT64", "int64 values; XNNPACK has it for float32 and 8 bits"),
    ],
)
def test_kinds_and_types_that_xnnpack_lacks_are_named(hand_made, kind, dtype, reason):
    schema = hand_made.schema
    model = hand_made.make_model(getattr(schema.TensorType, dtype))
    model.operatorCodes[0] = hand_made.code(getattr(schema.BuiltinOperator, kind))
    (graph,) = read_graphs(hand_made.serialise(model))
    assert explain(graph.nodes[0], graph, frozenset()) == reason


def test_every_truncation_and_flipped_byte_reads_or_is_refused(hand_made):
    whole = hand_made.serialise(hand_made.make_model())
    broken = [whole[:end] for end in range(len(whole))]
    broken += [
        whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
        for at in range(len(whole))
        for flip in (0x01, 0x80, 0xFF)
    ]
    refused = 0
    for data in broken:
        try:
            for graph in read_graphs(data):
                dynamic = dynamic_tensors(graph)
                for node in graph.nodes:
                    explain(node, graph, dynamic)
        except FormatError:
            refused += 1
    assert refused > len(whole) // 2


def test_more_numbers_than_any_model_has_end_the_reading(hand_made, monkeypatch):
    model = hand_made.make_model()
    model.subgraphs[0].operators *= 40
    data = hand_made.serialise(model)
    monkeypatch.setattr("edgedeploy.inspect.graph._MAX_NUMBERS", 300)
    with pytest.raises(FormatError, match="over 300 numbers"):
        read_graphs(data)


def test_a_file_cut_inside_a_vector_is_refused(hand_made):
    whole = bytearray(hand_made.serialise(hand_made.make_model()))
    root = struct.unpack_from("<I", whole)[0]
    with pytest.raises(FormatError):
        read_graphs(bytes(whole[: root + 8]))
