import shutil
import subprocess

import pytest

from edgedeploy.ondevice import v4l2_abi as abi

# What the kernel's header gives on 64-bit systems, worked out by hand:
# direction << 30 | size << 16 | 'V' << 8 | number.
SIXTY_FOUR = {
    "QUERYCAP": 0x80685600,
    "ENUM_FMT": 0xC0405602,
    "S_FMT": 0xC0D05605,
    "REQBUFS": 0xC0145608,
    "QUERYBUF": 0xC0585609,
    "QBUF": 0xC058560F,
    "DQBUF": 0xC0585611,
    "STREAMON": 0x40045612,
    "STREAMOFF": 0x40045613,
}
CONSTANTS = {
    "V4L2_BUF_TYPE_VIDEO_CAPTURE": abi.BUF_TYPE_VIDEO_CAPTURE,
    "V4L2_MEMORY_MMAP": abi.MEMORY_MMAP,
    "V4L2_CAP_VIDEO_CAPTURE": abi.CAP_VIDEO_CAPTURE,
    "V4L2_CAP_STREAMING": abi.CAP_STREAMING,
    "V4L2_CAP_DEVICE_CAPS": abi.CAP_DEVICE_CAPS,
    "V4L2_BUF_FLAG_ERROR": abi.BUF_FLAG_ERROR,
    "V4L2_PIX_FMT_PRIV_MAGIC": abi.PIX_FMT_PRIV_MAGIC,
    "V4L2_FIELD_NONE": abi.FIELD_NONE,
    "V4L2_PIX_FMT_YUYV": abi.pack_fourcc("YUYV"),
    "V4L2_PIX_FMT_MJPEG": abi.pack_fourcc("MJPG"),
    "sizeof(struct v4l2_capability)": abi.CAPABILITY.size,
    "sizeof(struct v4l2_fmtdesc)": abi.FMTDESC.size,
    "sizeof(struct v4l2_pix_format)": abi.PIX_FORMAT.size,
    "sizeof(struct v4l2_format)": abi.FORMAT_SIZE,
    "sizeof(struct v4l2_requestbuffers)": abi.REQUESTBUFFERS.size,
    "sizeof(struct v4l2_buffer)": abi.BUFFER.size,
    "offsetof(struct v4l2_format, fmt)": abi._FORMAT_HEAD,
    **{f"VIDIOC_{name}": getattr(abi, name) for name in SIXTY_FOUR},
}


def ask_kernel_header(tmp_path, body):
    """Compile a program that includes linux/videodev2.h; give what it prints."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing; sudo apt install gcc linux-libc-dev")
    source = tmp_path / "ask.c"
    source.write_text(
        "#include <stdio.h>\n#include <string.h>\n#include <stddef.h>\n"
        "#include <linux/videodev2.h>\n"
        f"int main(void) {{ {body} return 0; }}\n"
    )
    built = subprocess.run(
        ["gcc", "-o", tmp_path / "ask", source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "videodev2.h: No such file" in built.stderr:
        pytest.skip("the kernel's headers are missing; sudo apt install linux-libc-dev")
    assert built.returncode == 0, built.stderr
    return subprocess.run([tmp_path / "ask"], capture_output=True, check=True).stdout


@pytest.mark.skipif(
    abi.FORMAT_SIZE != 208, reason="needs a 64-bit system, which the numbers are for"
)
@pytest.mark.parametrize("name", SIXTY_FOUR)
def test_request_number_is_that_of_64_bit_systems(name):
    assert getattr(abi, name) == SIXTY_FOUR[name]


def test_numbers_and_sizes_are_the_kernel_headers(tmp_path):
    body = "".join(f'printf("%lu\\n", (unsigned long)({name}));' for name in CONSTANTS)
    printed = [int(line) for line in ask_kernel_header(tmp_path, body).split()]
    assert dict(zip(CONSTANTS, printed, strict=True)) == CONSTANTS


def test_buffer_is_read_as_the_kernel_writes_it(tmp_path):
    out = ask_kernel_header(
        tmp_path,
        "struct v4l2_buffer b; memset(&b, 0, sizeof b); b.index = 3; b.type = 1;"
        "b.bytesused = 614400; b.flags = 0x40; b.memory = 1; b.m.offset = 4096;"
        "b.length = 614401; fwrite(&b, sizeof b, 1, stdout);",
    )
    index, kind, used, flags, *_, memory, offset, length, _, _ = abi.BUFFER.unpack(out)
    assert (index, kind, used, flags) == (3, 1, 614400, 0x40)
    assert (memory, offset, length) == (1, 4096, 614401)


def test_format_is_read_and_written_as_the_kernel_does(tmp_path):
    out = ask_kernel_header(
        tmp_path,
        "struct v4l2_format f; memset(&f, 0, sizeof f);"
        "f.type = 1; f.fmt.pix.width = 640; f.fmt.pix.height = 480;"
        "f.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV; f.fmt.pix.field = 1;"
        "f.fmt.pix.priv = V4L2_PIX_FMT_PRIV_MAGIC; fwrite(&f, sizeof f, 1, stdout);"
        "f.fmt.pix.bytesperline = 1288; f.fmt.pix.sizeimage = 7;"
        "f.fmt.pix.colorspace = 8; f.fmt.pix.ycbcr_enc = 2;"
        "f.fmt.pix.quantization = 1; fwrite(&f, sizeof f, 1, stdout);",
    )
    asked, granted = out[: len(out) // 2], out[len(out) // 2 :]
    assert abi.pack_format("YUYV", 640, 480) == asked
    assert abi.unpack_format(granted) == abi.PixelLayout(
        width=640, height=480, pixel_format="YUYV", stride=1288, size_bytes=7,
        colorspace=8, ycbcr_enc=2, quantization=1,
    )  # fmt: skip


def layout(colorspace, ycbcr_enc, quantization):
    return abi.PixelLayout(
        width=2, height=1, pixel_format="YUYV", stride=4, size_bytes=4,
        colorspace=colorspace, ycbcr_enc=ycbcr_enc, quantization=quantization,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "convertible"),
    [
        ((8, 0, 0), True),  # sRGB, as most webcams say; the rest is default
        ((0, 0, 0), True),
        ((8, 1, 2), True),
        ((8, 0, 1), False),  # full range
        ((7, 0, 0), False),  # JPEG is full range by default
        ((3, 0, 0), False),  # Rec. 709 is encoded by itself
        ((3, 1, 2), True),
        ((8, 2, 0), False),
    ],
)
def test_other_colours_than_bt601_limited_are_told(values, convertible):
    assert layout(*values).is_bt601_limited is convertible


def test_fourcc_goes_there_and_back():
    assert abi.pack_fourcc("YUYV") == 0x56595559
    assert abi.unpack_fourcc(0x56595559) == "YUYV"
    assert abi.unpack_fourcc(0xFFFFFFFF) == "????"
