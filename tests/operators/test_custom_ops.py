"""Operators of one's own in LiteRT: against NumPy, and when they are missing."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.ondevice.custom_ops import CompiledModel
from edgedeploy.ondevice.litert_abi import OperatorError
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.tensors import ModelError
from edgedeploy.operators import Fusion, fuse_layer
from edgedeploy.operators.compile import host_abi

SHAPES = [(1, 1, 1, 1), (1, 3, 3, 5), (2, 5, 6, 7), (3, 8, 8, 64), (1, 2, 9, 33)]


@pytest.fixture
def fused(pooling, tmp_path):
    """Write a model whose layer is the operator."""

    def make(shape=(2, 5, 6, 7), k=4, dtype=None):
        dtype = pooling.FLOAT32 if dtype is None else dtype
        # Fusing does not look at k inside the layer, only at the options.
        inner = min(k, shape[1] * shape[2])
        data = pooling.pooling_model(shape, inner, dtype)
        fusion = Fusion(layer=pooling.LAYER, name=pooling.NAME, options=(k,))
        path = tmp_path / f"fused-{len(list(tmp_path.iterdir()))}.tflite"
        path.write_bytes(fuse_layer(data, fusion))
        return path

    return make


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("k", [1, 4, 1000])
def test_operator_gives_numpys_bits_for_float32(pooling, library, fused, shape, k):
    with CompiledModel(fused(shape, k), [library]) as model:
        for seed in range(4):
            values = pooling.random_values(shape, pooling.FLOAT32, seed)
            expected = pooling.pool(values, k)
            assert np.array_equal(model.invoke(values), expected)


@pytest.mark.parametrize("name", ["INT8", "UINT8"])
@pytest.mark.parametrize("k", [1, 4, 1000])
def test_operator_gives_numpys_bits_for_quantised_values(
    pooling, library, fused, name, k
):
    dtype, shape = getattr(pooling, name), (2, 5, 6, 7)
    with CompiledModel(fused(shape, k, dtype), [library]) as model:
        assert model.input.dtype == name.lower()
        assert (model.output.scale, model.output.zero_point) == (
            pytest.approx(pooling.OUTPUT[0]),
            pooling.OUTPUT[1],
        )
        for seed in range(4):
            values = pooling.random_values(shape, dtype, seed)
            found = model.invoke(values)
            assert np.array_equal(found, pooling.pool_quantised(values, k))


def test_answer_does_not_depend_on_where_the_largest_lie(pooling, library, fused):
    values = pooling.random_values((1, 5, 6, 7), pooling.FLOAT32, 1)
    random = np.random.default_rng(0)
    with CompiledModel(fused((1, 5, 6, 7)), [library]) as model:
        expected = model.invoke(values)
        for _ in range(5):
            mixed = random.permutation(values.reshape(30, 7)).reshape(values.shape)
            assert np.array_equal(model.invoke(mixed), expected)


def test_gateway_runs_it_and_takes_pictures_one_after_the_other(
    pooling, library, fused
):
    model = Model(fused((1, 5, 6, 7)), operators=[library])
    values = pooling.random_values((3, 5, 6, 7), pooling.FLOAT32, 1)
    assert np.array_equal(model.invoke(values), pooling.pool(values, 4))


@pytest.mark.parametrize("opened", [Model, CompiledModel])
def test_missing_operator_is_one_clear_line(fused, opened):
    path = fused()
    with pytest.raises(ModelError) as refused:
        opened(path)
    message = str(refused.value)
    assert f"{path}: needs the operator EdgedeployTopKPooling" in message
    assert "not registered" in message
    assert "\n" not in message


def test_library_that_has_no_operator_is_refused(fused, tmp_path):
    empty = tmp_path / "empty.so"
    empty.write_bytes(b"")
    for library in (empty, tmp_path / "none.so", Path(np.__file__)):
        with pytest.raises(OperatorError, match="no operator's library"):
            Model(fused(), operators=[library])


def test_library_for_another_machine_is_refused(fused, compiled):
    here = host_abi()
    library = compiled("linux-x86_64" if here == "linux-aarch64" else "linux-aarch64")
    with pytest.raises(OperatorError, match="build it for this processor"):
        Model(fused(), operators=[library.path])


@pytest.mark.parametrize("count", [0, 2, -1])
def test_options_that_the_operator_refuses_are_an_error(
    pooling, library, tmp_path, count
):
    options = (4, 4)[:count] if count >= 0 else (0,)
    data = pooling.pooling_model((1, 5, 6, 7))
    fusion = Fusion(layer=pooling.LAYER, name=pooling.NAME, options=options)
    path = tmp_path / "options.tflite"
    path.write_bytes(fuse_layer(data, fusion))
    # LiteRT itself drops what an operator answers.
    with pytest.raises(OperatorError, match="refused its tensors or options"):
        Model(path, operators=[library]).invoke(np.zeros((1, 5, 6, 7), np.float32))


def test_nodes_that_contradict_each_other_are_an_error(pooling, library, tmp_path):
    """LiteRT gives all nodes of one name the same state."""
    fusion = Fusion(layer=pooling.LAYER, name=pooling.NAME, options=(4,))
    model = schema.ModelT.InitFromPackedBuf(
        fuse_layer(pooling.pooling_model((1, 5, 6, 7)), fusion), 0
    )
    (graph,) = model.subgraphs
    second = schema.OperatorT()
    first = graph.operators[0]
    second.opcodeIndex, second.inputs = first.opcodeIndex, first.inputs
    options = bytearray(first.customOptions)
    options[24] = 5  # The first of the whole numbers.
    second.customOptions = list(options)
    unread = next(i for i, t in enumerate(graph.tensors) if b"transpose" in t.name)
    graph.tensors[unread].shape = graph.tensors[int(first.outputs[0])].shape
    second.outputs = [unread]
    graph.operators.append(second)
    path = tmp_path / "two.tflite"
    path.write_bytes(pack_model(model))
    with pytest.raises(OperatorError, match="refused"):
        Model(path, operators=[library]).invoke(np.zeros((1, 5, 6, 7), np.float32))


@pytest.mark.parametrize(
    "values", [np.zeros((1, 5, 6, 7), np.int8), np.zeros((1, 5, 7, 7), np.float32)]
)
def test_values_that_do_not_fit_are_refused(library, fused, values):
    with pytest.raises(ModelError):
        Model(fused((1, 5, 6, 7)), operators=[library]).invoke(values)


def test_damaged_model_is_refused(library, tmp_path):
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(ModelError):
        Model(path, operators=[library])
    with pytest.raises(ModelError, match="no such model"):
        Model(tmp_path / "none.tflite", operators=[library])


def test_another_litert_is_refused_by_version(library, fused, monkeypatch):
    from edgedeploy.ondevice import litert_abi

    monkeypatch.setattr(litert_abi, "runtime_version", lambda _name: "2.1.4")
    with pytest.raises(OperatorError, match=r"need ai-edge-litert 2\.3\.x; found 2\.1"):
        Model(fused(), operators=[library])


def test_bytes_are_opened_from_a_file_only(library, fused):
    with pytest.raises(ModelError, match="opened from a file"):
        Model(fused().read_bytes(), operators=[library])
