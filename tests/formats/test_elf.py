import shutil
import struct
import subprocess

import pytest

from edgedeploy.errors import FormatError
from edgedeploy.formats.elf import read_shared_library


def library(alignment, machine=183, *, kind=3, segments=1):
    """A 64-bit shared library of headers alone, written from the specification."""
    header = struct.pack(
        "<4sBBB9xHHIQQQIHHHHHH",
        b"\x7fELF",
        *(2, 1, 1),
        *(kind, machine, 1),
        *(0, 64, 0),
        *(0, 64, 56, segments, 0, 0, 0),
    )
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 0, 0, alignment) * segments


def small_library(alignment):
    """The same for 32 bits, where the fields of a segment are in another order."""
    header = struct.pack(
        "<4sBBB9xHHIIIIIHHHHHH",
        b"\x7fELF",
        *(1, 1, 1),
        *(3, 40, 1),
        *(0, 52, 0),
        *(0, 52, 32, 1, 0, 0, 0),
    )
    return header + struct.pack("<IIIIIIII", 1, 0, 0, 0, 0, 0, 5, alignment)


def test_alignment_of_the_segments_decides():
    assert read_shared_library(library(0x4000)).fits_large_pages
    found = read_shared_library(library(0x1000))
    assert (found.abi, found.bits, found.load_alignment_bytes) == (
        "arm64-v8a",
        64,
        4096,
    )
    assert not found.fits_large_pages


def test_libraries_of_32_bits_need_no_large_pages():
    found = read_shared_library(small_library(0x1000))
    assert (found.abi, found.bits, found.fits_large_pages) == ("armeabi-v7a", 32, True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF",
        b"MZ" * 64,
        library(4096)[:70],
        library(4096, kind=2),
        library(4096, segments=0),
        b"\x7fELF\x02\x02" + bytes(100),
    ],
)
def test_what_is_no_shared_library_is_refused(data):
    with pytest.raises(FormatError):
        read_shared_library(data)


@pytest.mark.parametrize("page", [4096, 16384])
def test_a_library_of_the_real_linker_is_read(tmp_path, page):
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is missing: apt-get install gcc libc6-dev")
    source = tmp_path / "one.c"
    source.write_text("int one(void) { return 1; }\n")
    flags = ["-shared", "-fPIC", "-nostdlib", f"-Wl,-z,max-page-size={page}"]
    made = tmp_path / "one.so"
    subprocess.run([compiler, *flags, "-o", made, source], check=True)
    assert read_shared_library(made.read_bytes()).load_alignment_bytes == page
