import pytest

from edgedeploy.inspect.delegation import measure_delegation, operators_inside
from edgedeploy.inspect.graph import read_graphs


def node(inputs, outputs):
    return {"inputs": inputs, "outputs": outputs}


def test_the_operators_between_the_borders_of_a_part_are_inside():
    # 0 -> a -> 1 -> b -> 2 -> c -> 3, and b also reads 9, which d makes of 0.
    own = [node([0], [1]), node([1, 9], [2]), node([2], [3]), node([0], [9])]
    assert operators_inside(own, [node([1, 9], [2])]) == {1}
    assert operators_inside(own, [node([0], [2])]) == {0, 1, 3}
    assert operators_inside(own, [node([0], [1]), node([2], [3])]) == {0, 2}
    assert operators_inside(own, []) == set()


@pytest.mark.parametrize(
    ("recipe", "left"),
    [
        ("float32", set()),
        # 8-bit pooling and softmax, and the two changes of sign around them.
        ("int8", {"QUANTIZE", "AVERAGE_POOL_2D", "SOFTMAX"}),
    ],
)
def test_the_runtime_says_what_xnnpack_left(tiny_models, recipe, left):
    path = tiny_models[recipe]
    (graph,) = read_graphs(path.read_bytes())
    found = measure_delegation(path, graph)
    assert found.unmeasured == ""
    kinds = {n.kind for i, n in enumerate(graph.nodes) if i not in found.taken}
    assert kinds == left
    assert found.partitions >= 1


def test_a_model_that_the_runtime_refuses_is_not_measured(write_model, hand_made):
    path = write_model(hand_made.make_model(custom="NobodyHasThis"))
    (graph,) = read_graphs(path.read_bytes())
    found = measure_delegation(path, graph)
    assert found.taken is None
    assert "NobodyHasThis" in found.unmeasured


def test_a_graph_of_another_file_is_not_measured(tiny_models, hand_made):
    (other,) = read_graphs(hand_made.serialise(hand_made.make_model()))
    found = measure_delegation(tiny_models["float32"], other)
    assert found.taken is None
    assert "other operators" in found.unmeasured
