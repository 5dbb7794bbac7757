"""The contract in Kotlin, compiled and run on the JVM, against Python and Pillow."""

import io
import itertools
import random
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedeploy.ondevice.contract import ImagePipeline, normalise, quantise
from edgedeploy.ondevice.pictures import decode, fit
from edgedeploy.resources import resource_folder

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1800)]

PROGRAM = Path(__file__).parent / "kotlin_programs" / "Pictures.kt"
KERNELS = ("nearest", "box", "bilinear", "bicubic", "lanczos")
UPRIGHT = ImagePipeline(width=1, height=1, orientation="ignore")
TYPES = (("uint8", 0.0078125, 127), ("int8", 0.02, -3))


def cases():
    """Every shipped photo with a contract of its own; every kernel, several times."""
    draw = random.Random(11)
    samples = resource_folder("models") / "samples"
    photos = sorted(
        path
        for path in samples.rglob("*")
        if path.suffix in (".jpg", ".png") and path.is_file()
    )
    choices = itertools.cycle(
        itertools.product(KERNELS, (True, False), ("crop_then_resize", "other"))
    )
    for number, path in enumerate(photos):
        kernel, antialias, order = next(choices)
        pipeline = ImagePipeline(
            # Odd sizes, and every fourth picture is enlarged.
            width=draw.randint(20, 150) if number % 4 else draw.randint(400, 480),
            height=draw.randint(20, 150) if number % 4 else draw.randint(400, 480),
            crop=draw.choice(("center_square", "none")),
            crop_fraction=draw.choice((1.0, 0.875, 0.7)),
            order=order if order != "other" else "resize_then_crop",
            kernel=kernel,
            antialias=antialias,
            channels=draw.choice(("rgb", "bgr")),
            mean=draw.choice(((127.5,) * 3, (123.675, 116.28, 103.53), (0.0,) * 3)),
            std=draw.choice(((127.5,) * 3, (58.395, 57.12, 57.375), (255.0,) * 3)),
        )
        # As it comes out of a decoder that does not look at EXIF, in odd sizes.
        picture = decode(path, UPRIGHT)
        picture.thumbnail((draw.randint(61, 240), draw.randint(61, 240)))
        yield picture, number % 8 + 1, pipeline, TYPES[number % 2]


def turned(picture, orientation):
    """Turn a picture as Pillow does for its EXIF tag."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    return decode(file.getvalue(), ImagePipeline(width=1, height=1))


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


def packed(picture, orientation, pipeline, tensor):
    name, scale, zero_point = tensor
    parts = [
        struct.pack(">iii", orientation, *picture.size),
        picture.tobytes(),
        struct.pack(">ii", pipeline.width, pipeline.height),
        *map(text, (pipeline.crop, pipeline.order, pipeline.kernel, pipeline.channels)),
        struct.pack(">d?", pipeline.crop_fraction, pipeline.antialias),
        struct.pack(">6d", *pipeline.mean, *pipeline.std),
        text(name),
        struct.pack(">di", scale, zero_point),
    ]
    return b"".join(parts)


def test_kotlin_gives_pythons_pixels_and_tensors(compile_kotlin, tmp_path):
    jar = compile_kotlin(PROGRAM)
    asked = list(cases())
    assert len(asked) >= 50
    (tmp_path / "cases").write_bytes(
        struct.pack(">i", len(asked)) + b"".join(packed(*case) for case in asked)
    )
    subprocess.run(
        ["java", "-jar", jar, tmp_path / "cases", tmp_path / "answers"],
        check=True,
        capture_output=True,
    )
    answers = io.BytesIO((tmp_path / "answers").read_bytes())
    wrong = []
    for number, (picture, orientation, pipeline, tensor) in enumerate(asked):
        count = 3 * pipeline.width * pipeline.height
        expected = fit(turned(picture, orientation), pipeline)
        found = np.frombuffer(answers.read(count), np.uint8).reshape(expected.shape)
        floats = np.frombuffer(answers.read(4 * count), ">f4").reshape(expected.shape)
        name, scale, zero_point = tensor
        steps = np.frombuffer(answers.read(count), name).reshape(expected.shape)
        if not (
            np.array_equal(found, expected)
            and np.array_equal(floats, normalise(expected, pipeline))
            and np.array_equal(
                steps,
                quantise(
                    expected, pipeline, dtype=name, scale=scale, zero_point=zero_point
                ),
            )
        ):
            difference = np.abs(found.astype(int) - expected)
            wrong.append((number, orientation, pipeline, int(difference.max())))
    assert not wrong
    assert answers.read() == b""
