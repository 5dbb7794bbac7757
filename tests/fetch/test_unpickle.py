"""State dicts are written by hand here, opcode by opcode, since torch is not used."""

import io
import os
import pickle
import struct
import sys
import time
import zipfile

import numpy as np
import pytest

from edgedeploy.errors import WeightsError
from edgedeploy.fetch.unpickle import read_state_dict

MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    return b"J" + struct.pack("<i", value)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key, count, kind="FloatStorage", tail=b"N"):
    return (
        b"(" + text("storage") + f"ctorch\n{kind}\n".encode()
        + text(key) + text("cpu") + number(count) + tail + b"tQ"
    )  # fmt: skip


def tensor(block, offset, shape, strides):
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + block + number(offset)
        + numbers(shape) + numbers(strides) + b"\x89" + b"ccollections\nOrderedDict\n"
        + b")R" + b"tR"
    )  # fmt: skip


def state_dict(items):
    body = b"".join(text(name) + value for name, value in items)
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + body + b"u."


def legacy(program, blocks, *, machine=None, keys=None, magic=MAGIC, tail=b""):
    keys = [key for key, _ in blocks] if keys is None else keys
    out = pickle.dumps(magic, 2) + pickle.dumps(1001, 2)
    out += pickle.dumps(MACHINE if machine is None else machine, 2)
    out += program + pickle.dumps(keys, 2)
    for _, array in blocks:
        out += struct.pack("<q", array.size) + array.tobytes()
    return out + tail


def read(tmp_path, data):
    path = tmp_path / "w.pth"
    path.write_bytes(data)
    return read_state_dict(path)


ROW = np.arange(6, dtype="<f4")


def test_tensors_come_out_with_shape_offset_and_strides(tmp_path):
    program = state_dict([
        ("whole", tensor(storage("a", 6), 0, (2, 3), (3, 1))),
        ("turned", tensor(storage("a", 6), 0, (3, 2), (1, 3))),
        ("tail", tensor(storage("a", 6), 4, (2,), (1,))),
        ("steps", tensor(storage("b", 1, "LongStorage"), 0, (), ())),
        ("none", tensor(storage("a", 6), 0, (0, 4), (4, 1))),
    ])  # fmt: skip
    got = read(tmp_path, legacy(program, [("b", np.array([7], "<i8")), ("a", ROW)]))
    assert list(got) == ["whole", "turned", "tail", "steps", "none"]
    assert got["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert got["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert got["tail"].tolist() == [4, 5]
    assert got["steps"].shape == ()
    assert int(got["steps"]) == 7
    assert got["none"].shape == (0, 4)
    assert got["whole"].dtype == np.float32
    assert not got["whole"].flags.writeable


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("DoubleStorage", "<f8"), ("HalfStorage", "<f2"), ("IntStorage", "<i4"),
     ("ShortStorage", "<i2"), ("CharStorage", "i1"), ("ByteStorage", "u1"),
     ("BoolStorage", "?")],
)  # fmt: skip
def test_every_dtype_keeps_its_values(tmp_path, kind, dtype):
    values = np.array([1, 0, 1], dtype)
    program = state_dict([("x", tensor(storage("a", 3, kind), 0, (3,), (1,)))])
    got = read(tmp_path, legacy(program, [("a", values)]))["x"]
    assert got.dtype == np.dtype(dtype)
    assert got.tolist() == values.tolist()


def write_zip(program, blocks, *, byteorder=b"little", compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as packed:
        packed.writestr("net/data.pkl", program)
        packed.writestr("net/byteorder", byteorder)
        for key, array in blocks:
            packed.writestr(f"net/data/{key}", array.tobytes())
    return buffer.getvalue()


def test_zip_layout_is_read_too(tmp_path):
    program = state_dict([("x", tensor(storage("0", 6, tail=b""), 0, (2, 3), (3, 1)))])
    got = read(tmp_path, write_zip(program, [("0", ROW)]))
    assert got["x"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_zip_layout_of_another_byte_order_or_packed_is_refused(tmp_path):
    program = state_dict([("x", tensor(storage("0", 6, tail=b""), 0, (6,), (1,)))])
    with pytest.raises(WeightsError, match="little-endian"):
        read(tmp_path, write_zip(program, [("0", ROW)], byteorder=b"big"))
    packed = write_zip(program, [("0", ROW)], compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="packed"):
        read(tmp_path, packed)
    with pytest.raises(WeightsError, match="cannot read member"):
        read(tmp_path, write_zip(program, []))


class Exploit:
    """Would make a file if it were unpickled the ordinary way."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("function", [os.system, eval, print, getattr, __import__])
def test_call_of_anything_else_is_refused_and_not_made(
    tmp_path, protocol, function, capfd
):
    mark = tmp_path / "mark"
    program = pickle.dumps({"x": Exploit(function, f"touch {mark}")}, protocol)
    with pytest.raises(WeightsError, match="refused"):
        read(tmp_path, legacy(program, []))
    assert not mark.exists()
    assert capfd.readouterr().out == ""


def test_refused_name_is_in_the_message(tmp_path):
    program = b"\x80\x02cposix\nsystem\n" + text("true") + b"\x85R."
    with pytest.raises(WeightsError, match=r"posix\.system"):
        read(tmp_path, legacy(program, []))


@pytest.mark.parametrize(
    "name",
    ["torch._utils\n_rebuild_parameter", "torch\nBFloat16Storage", "torch\nload",
     "collections\nUserDict", "torch._utils\n_rebuild_tensor_v2.__globals__"],
)  # fmt: skip
def test_neighbours_of_the_allowed_names_are_refused(tmp_path, name):
    program = b"\x80\x02c" + name.encode() + b"\n."
    with pytest.raises(WeightsError, match="refused"):
        read(tmp_path, legacy(program, []))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),  # One more than there are.
        (1, (6,), (1,)),
        (0, (2, 3), (4, 1)),  # Reaches to 6.
        (0, (1000, 1000), (0, 0)),  # Much out of little.
        (-1, (2,), (1,)),
        (0, (-2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2,), (1, 1)),
        (2**31 - 1, (1,), (1,)),
        (0, (2**31 - 1,) * 8, (2**31 - 1,) * 8),
    ],
)
def test_tensor_beyond_its_storage_is_refused(tmp_path, offset, shape, strides):
    program = state_dict([("x", tensor(storage("a", 6), offset, shape, strides))])
    with pytest.raises(WeightsError):
        read(tmp_path, legacy(program, [("a", ROW)]))


ONE = state_dict([("x", tensor(storage("a", 6), 0, (6,), (1,)))])


@pytest.mark.parametrize(
    "data",
    [
        legacy(ONE, [("a", ROW)], magic=1),
        legacy(ONE, [("a", ROW)], machine={"little_endian": False}),
        legacy(ONE, [("a", ROW)], machine=[]),
        legacy(ONE, [("b", ROW)]),
        legacy(ONE, [("a", ROW)], keys=["a", "a"]),
        legacy(ONE, [("a", ROW)], keys=[["a"]]),
        legacy(ONE, [("a", ROW[:5])]),
        legacy(ONE, []),
        legacy(ONE, [("a", ROW)], tail=b"more"),
        legacy(state_dict([]), []),
        legacy(state_dict([("x", number(3))]), []),
        legacy(b"\x80\x02" + text("no dict") + b".", []),
        legacy(
            state_dict([
                ("x", tensor(storage("a", 6), 0, (6,), (1,))),
                ("y", tensor(storage("a", 3), 0, (3,), (1,))),
            ]),
            [("a", ROW)],
        ),
        legacy(state_dict([("x", storage("a", 6, tail=numbers((0, 1, 2))))]), []),
        b"",
        b"PK\x03\x04",
        b"\x89HDF\r\n\x1a\n",
        b"<html>",
        bytes(1000),
    ],
)  # fmt: skip
def test_file_that_is_no_whole_state_dict_is_a_weights_error(tmp_path, data):
    with pytest.raises(WeightsError) as caught:
        read(tmp_path, data)
    assert "\n" not in str(caught.value)


def test_booleans_that_are_none_are_refused(tmp_path):
    program = state_dict([("x", tensor(storage("a", 2, "BoolStorage"), 0, (2,), (1,)))])
    with pytest.raises(WeightsError, match="no booleans"):
        read(tmp_path, legacy(program, [("a", np.array([1, 2], "u1"))]))


def test_truncation_at_every_byte_is_a_weights_error(tmp_path):
    whole = legacy(ONE, [("a", ROW)])
    for cut in range(len(whole)):
        with pytest.raises(WeightsError):
            read(tmp_path, whole[:cut])


def test_any_single_changed_byte_gives_arrays_or_a_weights_error(tmp_path):
    whole = legacy(ONE, [("a", ROW)])
    for at in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            changed = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
            try:
                got = read(tmp_path, changed)
            except WeightsError:
                continue
            assert all(isinstance(array, np.ndarray) for array in got.values())


def test_tuples_that_double_do_not_hang_the_message(tmp_path):
    # ((a, a), (a, a)) … forty times over has a repr of 2**40 characters.
    doubling = b")" + b"".join(
        b"q" + bytes([at]) + b"h" + bytes([at]) + b"\x86" for at in range(40)
    )
    began = time.monotonic()
    for program in (doubling + b".", doubling + b"Q.", doubling + doubling + b"R."):
        with pytest.raises(WeightsError):
            read(tmp_path, legacy(b"\x80\x02" + program, []))
    assert time.monotonic() - began < 10


def test_absurd_memo_index_takes_no_memory(tmp_path):
    program = b"\x80\x02" + text("x") + b"r" + struct.pack("<I", 2**32 - 1) + b"."
    with pytest.raises(WeightsError):
        read(tmp_path, legacy(program, []))


def test_nothing_of_torch_was_imported(tmp_path):
    read(tmp_path, legacy(ONE, [("a", ROW)]))
    assert "torch" not in sys.modules
