import io
import zipfile

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.metadata import embed, read, remove
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.tflite_layout import align_buffers, misaligned_buffers

FACTS = {
    "name": "Tiny",
    "description": "Tells four things apart.",
    "version": "1.2",
    "author": "nobody",
    "licence": "Apache-2.0",
    "labels": ("crane", "dög", "crane", "cat"),
    "mean": (127.5,),
    "std": (127.5,),
}


def test_reader_gets_what_was_written(float_model):
    metadata = read(embed(float_model, **FACTS))
    assert metadata.name == "Tiny"
    assert metadata.description == "Tells four things apart."
    assert metadata.version == "1.2"
    assert metadata.author == "nobody"
    assert metadata.licence == "Apache-2.0"
    assert metadata.labels == ("crane", "dög", "crane (2)", "cat")
    assert metadata.mean == metadata.std == (127.5,)
    assert metadata.input_range == (-1.0, 1.0)
    assert metadata.output_range == (0.0, 1.0)
    assert metadata.files == ("labels.txt",)


def test_uint8_models_take_pictures_as_they_are(uint8_model):
    facts = {**FACTS, "mean": (1.0, 2.0, 3.0), "std": (4.0, 5.0, 6.0)}
    metadata = read(embed(uint8_model, **facts))
    assert metadata.input_range == (0.0, 255.0)
    assert metadata.mean == (1.0, 2.0, 3.0)
    assert metadata.std == (4.0, 5.0, 6.0)


def test_labels_are_an_archive_that_python_reads(float_model):
    model = embed(float_model, **FACTS)
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode() == "crane\ndög\ncrane (2)\ncat\n"


def test_metadata_is_where_the_schema_puts_it(float_model):
    model = schema.ModelT.InitFromPackedBuf(embed(float_model, **FACTS), 0)
    (entry,) = [item for item in model.metadata if item.name == b"TFLITE_METADATA"]
    assert bytes(model.buffers[entry.buffer].data)[4:8] == b"M001"


def test_same_facts_give_the_same_bytes_and_embedding_again_changes_nothing(
    float_model,
):
    once = embed(float_model, **FACTS)
    assert embed(float_model, **FACTS) == once
    assert embed(once, **FACTS) == once
    other = embed(once, **{**FACTS, "name": "Other"})
    assert read(other).name == "Other"
    assert embed(other, **FACTS) == once
    assert remove(once) == align_buffers(float_model)


def test_weights_are_aligned_and_the_model_is_the_same(float_model):
    model = embed(float_model, **FACTS)
    assert misaligned_buffers(model) == ()
    before, after = summarize(float_model), summarize(model)
    assert (before.inputs, before.outputs) == (after.inputs, after.outputs)
    assert before.operators == after.operators


def test_metadata_of_another_tool_is_replaced(float_model):
    model = schema.ModelT.InitFromPackedBuf(float_model, 0)
    foreign, entry = schema.BufferT(), schema.MetadataT()
    foreign.data = list(b"\x08\0\0\0M001")
    model.buffers.append(foreign)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
    model.metadata.append(entry)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("old_labels.txt", "old")
    result = embed(bytes(builder.Output()) + archive.getvalue(), **FACTS)
    assert b"old_labels.txt" not in result
    assert summarize(result).metadata_names.count("TFLITE_METADATA") == 1
    assert read(result).name == "Tiny"


def test_a_model_without_metadata_has_none(float_model):
    assert read(float_model) is None
    assert remove(float_model) == float_model


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ("a", "b", "c")},
        {"mean": (1.0, 2.0), "std": (1.0, 2.0)},
        {"std": (0.0,)},
        {"std": (float("nan"),)},
        {"input_range": (1.0, 1.0)},
        {"labels": ("a", "b", "c", "")},
        {"name": "\ud800"},
    ],
)
def test_values_that_make_no_sense_are_refused(float_model, change):
    with pytest.raises(InputError):
        embed(float_model, **{**FACTS, **change})


def test_a_missing_label_file_is_a_format_error(float_model):
    model = embed(float_model, **FACTS)
    end = model.rindex(b"PK\x03\x04")
    with pytest.raises(FormatError, match=r"labels\.txt"):
        read(model[:end])


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_flipped_bytes_raise_nothing_but_format_errors(float_model, data):
    model = bytearray(embed(float_model, **FACTS))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(model) - 1))
        model[at] = data.draw(st.integers(0, 255))
    for action in (read, remove, lambda model: embed(model, **FACTS)):
        try:
            action(bytes(model))
        except FormatError:
            pass
        except InputError:
            # A flipped size of the output no longer fits the labels.
            pass
