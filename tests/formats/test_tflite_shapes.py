import pytest

from edgedeploy.errors import FormatError
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.tflite_shapes import begin_with_size, pin_size


@pytest.fixture
def open_model(model_object):
    from copy import deepcopy

    model = deepcopy(model_object)
    image = model.subgraphs[0].tensors[0]
    image.shape, image.shapeSignature = [1, 1, 1, 3], [-1, -1, -1, 3]
    return model


@pytest.fixture
def serialised(open_model):
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(open_model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_model_begins_with_a_size_and_stays_open(serialised):
    (image,) = summarize(begin_with_size(serialised, 320, 240)).inputs
    assert image.shape == (1, 240, 320, 3)
    assert image.shape_signature == (-1, -1, -1, 3)


def test_a_pinned_size_cannot_change_but_the_batch_can(serialised):
    (image,) = summarize(pin_size(serialised, 320, 240)).inputs
    assert image.shape == (1, 240, 320, 3)
    assert image.shape_signature == (-1, 240, 320, 3)


def test_no_other_byte_changes(serialised):
    changed = pin_size(serialised, 7, 5)
    assert len(changed) == len(serialised)
    # Four numbers of four bytes, of which one differs in the low byte only.
    assert sum(a != b for a, b in zip(serialised, changed, strict=True)) <= 10


def test_a_model_of_one_size_is_refused(float_model):
    with pytest.raises(FormatError, match="not both open"):
        begin_with_size(float_model, 8, 8)


def test_damage_is_refused(serialised):
    refused = 0
    for end in range(len(serialised)):
        try:
            pin_size(serialised[:end], 8, 8)
        except FormatError:
            refused += 1
    # What is left of the other cuts is the tables before the weights' end.
    assert refused > len(serialised) // 2
