"""Camera frames, transparency, answers: the JVM's Kotlin, against Python and Pillow."""

import io
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedeploy.ondevice.contract import dequantise
from edgedeploy.ondevice.runtime import top_k
from edgedeploy.resources import resource_folder

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

PROGRAM = Path(__file__).parent / "kotlin_programs" / "Frames.kt"
PHOTOS = (".jpg", ".png")
TYPES = (("uint8", 0.00390625, 0), ("uint8", 0.0173, 131), ("int8", 0.1, -7))


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


def photos():
    """Every shipped photo in YCbCr, in odd and even sizes; every pair of chroma."""
    samples = resource_folder("models") / "samples"
    paths = sorted(path for path in samples.rglob("*") if path.suffix in PHOTOS)
    for number, path in enumerate(paths):
        picture = Image.open(path).convert("RGB").convert("YCbCr")
        picture.thumbnail((90 + number % 3, 61 + number % 5))
        yield np.asarray(picture)
    # All chroma at several lumas; pairs are equal, so halving loses nothing.
    cb, cr = np.meshgrid(np.arange(256), np.arange(256))
    for luma in (0, 1, 64, 127, 128, 200, 254, 255):
        small = np.stack([np.full_like(cb, luma), cb, cr], -1).astype(np.uint8)
        yield small.repeat(2, 0).repeat(2, 1)


def as_frame(ycbcr, layout):
    """A camera's memory of a picture, and the RGB that Pillow makes of it."""
    height, width, _ = ycbcr.shape
    small = ycbcr[::2, ::2, 1:]
    full = small.repeat(2, 0).repeat(2, 1)[:height, :width]
    seen = np.concatenate([ycbcr[..., :1], full], -1)
    rgb = np.asarray(Image.fromarray(seen, "YCbCr").convert("RGB"))
    luma_stride, pad = width + layout % 3 * 7, layout % 2 * 5
    rows, columns = small.shape[:2]
    luma = np.full((height, luma_stride), 9, np.uint8)
    luma[:, :width] = ycbcr[..., 0]
    if layout % 3 == 0:  # I420: planes apart.
        planes = []
        for channel in range(2):
            plane = np.full((rows, columns + pad), 7, np.uint8)
            plane[:, :columns] = small[..., channel]
            planes.append((columns + pad, 1, plane.tobytes()))
    else:  # NV12 or NV21: interleaved in one memory, which ends with its last value.
        first = layout % 3 - 1
        plane = np.full((rows, 2 * columns + pad), 7, np.uint8)
        plane[:, first : 2 * columns : 2] = small[..., 0]
        plane[:, 1 - first : 2 * columns : 2] = small[..., 1]
        stride = 2 * columns + pad
        memory = plane.tobytes()[: len(plane.tobytes()) - pad]
        planes = [(stride, 2, memory[first:]), (stride, 2, memory[1 - first :])]
    return (width, height, [(luma_stride, 1, luma.tobytes()), *planes]), rgb


def packed_frame(frame):
    width, height, planes = frame
    parts = [struct.pack(">ii", width, height)]
    for stride, step, memory in planes:
        parts += [struct.pack(">iii", stride, step, len(memory)), memory]
    return b"".join(parts)


def transparent():
    """Every alpha with every value, over three backgrounds."""
    alpha, value = np.meshgrid(np.arange(256), np.arange(256))
    rgba = np.stack([value, 255 - value, value ^ 90, alpha], -1).astype(np.uint8)
    for background in ((255, 255, 255), (0, 0, 0), (10, 130, 77)):
        yield rgba, background


def packed_colours(rgba, background):
    height, width, _ = rgba.shape
    argb = rgba[..., [3, 0, 1, 2]].tobytes()
    return struct.pack(">iiiii", width, height, *background) + argb


def scores():
    random = np.random.default_rng(5)
    for count in (1, 2, 5, 1000):
        yield random.random(count, np.float32)
        # A quantised output: many classes tie.
        yield (random.integers(0, 4, count) / 256).astype(np.float32)


@pytest.fixture(scope="module")
def answers(compile_kotlin, tmp_path_factory):
    """What Kotlin answered, as one stream, and what was asked."""
    folder = tmp_path_factory.mktemp("frames")
    frames = [as_frame(photo, number) for number, photo in enumerate(photos())]
    colours, outputs = list(transparent()), list(scores())
    values = np.arange(256, dtype=np.uint8).tobytes()
    parts = [
        struct.pack(">i", len(frames)),
        *(packed_frame(frame) for frame, _ in frames),
        struct.pack(">i", len(colours)),
        *(packed_colours(*one) for one in colours),
        struct.pack(">i", len(outputs)),
        *(
            struct.pack(">i", len(one)) + one.astype(">f4").tobytes() + b"\0\0\0\5"
            for one in outputs
        ),
        struct.pack(">i", len(TYPES)),
        *(text(n) + struct.pack(">di", s, z) + values for n, s, z in TYPES),
    ]
    (folder / "asked").write_bytes(b"".join(parts))
    jar = compile_kotlin(PROGRAM)
    done = subprocess.run(
        ["java", "-jar", jar, folder / "asked", folder / "answers"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stream = io.BytesIO((folder / "answers").read_bytes())
    found = {
        "frames": [
            np.frombuffer(stream.read(rgb.size), np.uint8).reshape(rgb.shape)
            for _, rgb in frames
        ],
        "colours": [
            np.frombuffer(stream.read(3 * rgba.size // 4), np.uint8)
            for rgba, _ in colours
        ],
        "best": [
            np.frombuffer(stream.read(4 * min(5, one.size)), ">i4").tolist()
            for one in outputs
        ],
        "real": [np.frombuffer(stream.read(1024), ">f4") for _ in TYPES],
    }
    assert stream.read() == b""
    return found, [rgb for _, rgb in frames], colours, outputs


def test_camera_frames_become_pillows_rgb(answers):
    found, expected, _, _ = answers
    assert len(expected) >= 50
    wrong = [
        number
        for number, (one, rgb) in enumerate(zip(found["frames"], expected, strict=True))
        if not np.array_equal(one, rgb)
    ]
    assert not wrong


def test_transparency_is_composed_as_pillow_does(answers):
    found, _, colours, _ = answers
    for one, (rgba, background) in zip(found["colours"], colours, strict=True):
        picture = Image.fromarray(rgba, "RGBA")
        below = Image.new("RGB", picture.size, background)
        below.paste(picture.convert("RGB"), mask=picture.getchannel("A"))
        assert np.array_equal(one, np.asarray(below).ravel())


def test_best_classes_are_pythons(answers):
    found, _, _, outputs = answers
    assert found["best"] == [
        [int(index) for index in top_k(one, min(5, one.size))] for one in outputs
    ]


def test_real_values_are_pythons(answers):
    values = np.arange(256, dtype=np.uint8)
    for one, (name, scale, zero_point) in zip(answers[0]["real"], TYPES, strict=True):
        expected = dequantise(values.view(name), scale, zero_point)
        assert np.array_equal(one, expected)
