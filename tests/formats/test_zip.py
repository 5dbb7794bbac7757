import contextlib
import io
import os
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.zip import ZipWriter, entries, is_safe_name, read_entry


def make_archive(*items, finish=True):
    stream = io.BytesIO()
    writer = ZipWriter(stream)
    for name, content, stored, alignment in items:
        writer.add(name, content, stored=stored, alignment=alignment)
    if finish:
        writer.finish()
    return stream.getvalue()


SMALL = make_archive(("a.txt", b"abc" * 50, False, 1), ("b.bin", b"xyz", True, 64))


def test_python_reads_what_was_written(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"\0" * 3_000_000)
    data = make_archive(("a/ä.txt", b"abc", False, 1), ("b.tflite", source, True, 4096))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a/ä.txt", "b.tflite"]
        assert archive.read("a/ä.txt") == b"abc"
        stored = archive.getinfo("b.tflite")
        assert stored.compress_type == zipfile.ZIP_STORED
        assert stored.date_time == (1980, 1, 1, 0, 0, 0)
        assert stored.file_size == 3_000_000


def test_stored_entry_begins_on_its_alignment():
    data = make_archive(("x", b"1", False, 1), ("y", b"weights", True, 4096))
    entry = entries(data)[1]
    assert entry.data_offset % 4096 == 0
    assert data[entry.data_offset :].startswith(b"weights")
    # The local extra field: id 0xd935, length, alignment, zeros.
    extra = data[entry.header_offset + 31 : entry.data_offset]
    identifier, length, alignment = struct.unpack_from("<HHH", extra)
    assert (identifier, length, alignment) == (0xD935, len(extra) - 4, 4096)
    assert not any(extra[6:])


@pytest.mark.parametrize(
    "name",
    ["", "/a", "../a", "a/../b", "a//b", "a\\b", "C:a", "./a", "a/", "a\nb", "\ud800"],
)
def test_unsafe_names_are_refused(name):
    assert not is_safe_name(name)
    with pytest.raises(InputError):
        make_archive((name, b"", False, 1))


def test_a_name_is_taken_once():
    with pytest.raises(InputError, match="already"):
        make_archive(("a", b"1", False, 1), ("a", b"2", False, 1))


def test_alignment_needs_a_stored_entry():
    with pytest.raises(InputError):
        make_archive(("a", b"1", False, 16))


def test_missing_source_is_the_users_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        make_archive(("a", tmp_path / "none", False, 1))
    with pytest.raises(InputError, match="cannot be read"):
        entries(tmp_path / "none")


def test_reader_agrees_with_python_on_its_archives():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("s", b"stored" * 9)
        archive.writestr("d", b"deflated" * 900, zipfile.ZIP_DEFLATED)
        archive.writestr("empty", b"", zipfile.ZIP_DEFLATED)
        archive.comment = b"a comment"
    data = stream.getvalue()
    with zipfile.ZipFile(stream) as archive:
        for entry in entries(data):
            info = archive.getinfo(entry.name)
            assert (entry.crc32, entry.size_bytes) == (info.CRC, info.file_size)
            assert entry.compressed_bytes == info.compress_size
            assert entry.header_offset == info.header_offset
            assert read_entry(data, entry) == archive.read(entry.name)


def test_streamed_archive_with_data_descriptors_is_read():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = bytearray()

        def writable(self):
            return True

        def write(self, piece):
            self.data += piece
            return len(piece)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"abc" * 99)
        archive.writestr("b", b"def" * 99)
    data = bytes(pipe.data)
    assert [read_entry(data, entry) for entry in entries(data)] == [
        b"abc" * 99,
        b"def" * 99,
    ]


@pytest.mark.parametrize("length", range(len(SMALL)))
def test_truncated_archive_is_a_format_error(length):
    with pytest.raises(FormatError):
        entries(SMALL[:length])


def test_overlapping_entries_are_refused():
    data = bytearray(SMALL)
    directory = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", directory + 4)
    # The first entry's sizes now reach into the second, in both headers.
    for at, base in ((directory, 20), (0, 18)):
        struct.pack_into("<I", data, at + base, 20)
    assert second > directory
    with pytest.raises(FormatError, match="overlaps"):
        entries(bytes(data))


def test_end_record_is_found_before_a_comment_that_looks_like_one():
    comment = b"PK\x05\x06 is not the end record"
    length = struct.pack("<H", len(comment))
    assert entries(SMALL[:-2] + length + comment) == entries(SMALL)


def test_zip64_is_refused_clearly():
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w") as archive,
        archive.open("a", "w", force_zip64=True) as item,
    ):
        item.write(b"1")
    data = bytearray(stream.getvalue())
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, 0xFFFFFFFF)
    with pytest.raises(FormatError, match="ZIP64"):
        entries(bytes(data))


def test_bomb_stops_at_the_declared_size():
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = bomb.compress(bytes(50_000_000)) + bomb.flush()
    data = bytearray(make_archive(("a", content, True, 1)))
    directory = data.index(b"PK\x01\x02")
    for at, method, size in ((0, 8, 22), (directory, 10, 24)):
        struct.pack_into("<H", data, at + method, 8)
        struct.pack_into("<I", data, at + size, 1000)
    (entry,) = entries(bytes(data))
    with pytest.raises(FormatError, match="corrupt"):
        read_entry(bytes(data), entry)
    with pytest.raises(FormatError, match="at most 10"):
        read_entry(bytes(data), entry, limit_bytes=10)


def test_prefix_is_accepted_only_on_request():
    with pytest.raises(FormatError):
        entries(b"prefix" + SMALL)
    found = entries(b"prefix" + SMALL, allow_prefix=True)
    assert read_entry(b"prefix" + SMALL, found[0]) == b"abc" * 50


@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255))
@settings(max_examples=400, deadline=None)
def test_flipped_bytes_raise_nothing_but_format_errors(at, flip):
    data = bytearray(SMALL)
    data[at] ^= flip
    try:
        for entry in entries(bytes(data)):
            read_entry(bytes(data), entry)
    except FormatError:
        pass


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_random_bytes_with_an_end_record_raise_only_format_errors(junk):
    end = b"PK\x05\x06" + bytes(4) + struct.pack("<HHIIH", 1, 1, len(junk), 0, 0)
    with contextlib.suppress(FormatError):
        entries(junk + end)


def test_random_content_survives():
    content = os.urandom(2_500_000)
    data = make_archive(("a", content, False, 1))
    assert read_entry(data, entries(data)[0]) == content
