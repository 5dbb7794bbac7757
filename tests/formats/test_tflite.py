import contextlib
import struct
import tracemalloc

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.tflite_layout import (
    align_buffers,
    misaligned_buffers,
    pack_model,
    put_metadata_front,
    read_metadata_buffer,
    remove_metadata_front,
)


def run(model):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    image = np.linspace(0, 1, 12, dtype=np.float32).reshape(1, 2, 2, 3)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_summary_says_what_the_model_was_built_from(float_model):
    summary = summarize(float_model)
    assert summary.description == "tiny"
    (image,) = summary.inputs
    assert (image.name, image.dtype) == ("image", "float32")
    assert image.shape == (1, 2, 2, 3)
    assert image.shape_signature == (-1, 2, 2, 3)
    assert image.scale == ()
    assert summary.outputs[0].shape == (1, 4)
    assert [(op.name, op.version, op.count) for op in summary.operators] == [
        ("FULLY_CONNECTED", 2, 1),
        ("RESHAPE", 1, 1),
    ]
    # 4 * 12 weights and the two sizes of the reshape, four bytes each.
    assert summary.weight_bytes == (("float32", 192), ("int32", 8))
    assert summary.min_runtime_version == "1.14.0"
    assert summary.custom_ops == ()


def test_quantisation_is_read(uint8_model):
    (image,) = summarize(uint8_model).inputs
    assert (image.dtype, image.scale, image.zero_point) == ("uint8", (0.5,), (3,))


def test_custom_and_flex_operators_are_listed(flex_model):
    assert summarize(flex_model).custom_ops == ("FlexErf",)
    assert summarize(flex_model).flex_ops == ("FlexErf",)


def test_a_file_is_read_like_its_bytes(tmp_path, float_model):
    path = tmp_path / "model.tflite"
    path.write_bytes(float_model)
    assert summarize(path) == summarize(float_model)
    with pytest.raises(InputError, match="cannot be read"):
        summarize(tmp_path / "none.tflite")


@pytest.mark.parametrize(
    "data", [b"", b"TFL3", bytes(100), b"\x10\0\0\0TFL3", b"PK\x03\x04" * 9]
)
def test_other_bytes_are_a_format_error(data):
    with pytest.raises(FormatError):
        summarize(data)


def test_truncated_models_raise_nothing_but_format_errors(float_model):
    failures = 0
    for length in range(0, len(float_model), 3):
        try:
            summarize(float_model[:length])
        except FormatError:
            failures += 1
    assert failures > len(float_model) // 6


@given(data=st.data())
@settings(max_examples=500, deadline=None)
def test_changed_words_raise_nothing_but_format_errors(float_model, data):
    changed = bytearray(float_model)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 4))
        word = data.draw(st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1)))
        struct.pack_into("<I", changed, at, word)
    for read in (
        summarize,
        misaligned_buffers,
        align_buffers,
        lambda model: read_metadata_buffer(model, b"x"),
        lambda model: put_metadata_front(model, b"x", b"y"),
    ):
        with contextlib.suppress(FormatError):
            read(bytes(changed))


def test_a_tree_of_shared_tables_is_stopped():
    # 3000 subgraphs are all the same table, whose 3000 tensors are all the same.
    count = 3000
    graph = 64 + 4 + 4 * count
    tensors = graph + 8
    tensor = tensors + 4 + 4 * count
    data = bytearray(tensor + 8)
    struct.pack_into("<I4s", data, 0, 24, b"TFL3")
    # A vtable at 8 with subgraphs in field 2, and one at 32 with only field 0.
    struct.pack_into("<5H", data, 8, 10, 8, 0, 0, 4)
    struct.pack_into("<3H", data, 32, 6, 8, 4)
    struct.pack_into("<iI", data, 24, 24 - 8, 64 - 28)
    for vector, target in ((64, graph), (tensors, tensor)):
        items = [target - (vector + 4 + 4 * i) for i in range(count)]
        struct.pack_into(f"<I{count}I", data, vector, count, *items)
    struct.pack_into("<iI", data, graph, graph - 32, tensors - graph - 4)
    struct.pack_into("<iI", data, tensor, tensor - 32, 0)
    with pytest.raises(FormatError, match="tables"):
        summarize(bytes(data))


def test_converter_style_models_are_misaligned_and_packing_repairs_it(
    model_object, float_model
):
    assert misaligned_buffers(float_model)
    packed = pack_model(model_object)
    assert misaligned_buffers(packed) == ()
    assert summarize(packed) == summarize(float_model)
    assert np.array_equal(run(packed), run(float_model))
    assert align_buffers(float_model) == align_buffers(packed) == packed


def test_alignment_is_that_of_the_bytes_in_the_file(model_object, weights):
    packed = pack_model(model_object)
    assert packed.index(weights.tobytes()) % 16 == 0


def test_front_metadata_keeps_the_model_whole(model_object):
    packed = pack_model(model_object)
    fronted = put_metadata_front(packed, b"NOTE", b"hello")
    assert fronted.endswith(packed)
    assert misaligned_buffers(fronted) == ()
    assert read_metadata_buffer(fronted, b"NOTE") == b"hello"
    assert summarize(fronted).metadata_names == ("min_runtime_version", "NOTE")
    assert summarize(fronted).min_runtime_version == "1.14.0"
    assert np.array_equal(run(fronted), run(packed))
    assert remove_metadata_front(fronted) == packed
    # The object API, which another program may use, still understands the file.
    again = schema.ModelT.InitFromPackedBuf(fronted, 0)
    assert bytes(again.buffers[again.metadata[-1].buffer].data) == b"hello"


def test_front_metadata_refuses_data_by_absolute_offset(model_object, float_model):
    model = schema.ModelT.InitFromPackedBuf(float_model, 0)
    model.buffers[2].offset, model.buffers[2].size = 4096, 10
    with pytest.raises(FormatError, match="2 GiB"):
        put_metadata_front(pack_model(model), b"NOTE", b"hello")


def test_packing_a_large_model_needs_little_memory(float_model):
    model = schema.ModelT.InitFromPackedBuf(float_model, 0)
    extra = schema.BufferT()
    extra.data = np.zeros(40 << 20, np.uint8)
    model.buffers.append(extra)
    tracemalloc.start()
    try:
        packed = pack_model(model)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert misaligned_buffers(packed) == ()
    assert peak < 2.5 * len(packed)
