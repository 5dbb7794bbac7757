"""Write the small, odd pictures that the decoder's tests read.

Run `python tests/data/make_pictures.py`: it rewrites `pictures/` beside it. README.md
in that folder says what a decoder should make of each file. Lossless files hold the
same pixels everywhere; how JPEG rounds depends on the version of Pillow.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

EXIF_ORIENTATION = 0x0112
WIDTH, HEIGHT = 48, 32

# Where the stored row 0 and column 0 lie in the upright picture (Exif 2.32, 4.6.4).
ORIENTATION_SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def draw_upright() -> Pixels:
    """A 48x32 RGB picture in which no flip or turn goes unnoticed.

    The edges lie on multiples of eight, so that JPEG keeps the patches flat.

    Returns:
        Array of shape (32, 48, 3): red top left, green top right, blue bottom left,
        yellow bottom right, and a black 8x8 patch in the red one's corner.
    """
    upright = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    upright[:16, :24] = (255, 0, 0)
    upright[:16, 24:] = (0, 255, 0)
    upright[16:, :24] = (0, 0, 255)
    upright[16:, 24:] = (255, 255, 0)
    upright[:8, :8] = 0
    return upright


def store_oriented(upright: Pixels, orientation: int) -> Pixels:
    """The pixels as a camera stores them that was held in a given way.

    Args:
        upright: What a viewer should show, shape (height, width, 3).
        orientation: Value of the Exif tag, 1 to 8.

    Returns:
        The stored rows; height and width are swapped for 5 to 8.
    """
    row_side, column_side = ORIENTATION_SIDES[orientation]
    stored = upright
    if row_side in ("left", "right"):
        stored = stored.transpose(1, 0, 2)
    if row_side in ("bottom", "right"):
        stored = stored[::-1]
    if column_side in ("bottom", "right"):
        stored = stored[:, ::-1]
    return np.ascontiguousarray(stored)


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode a picture with Pillow."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def encode_png_chunks(header: bytes, data: bytes) -> bytes:
    """A PNG file from a ready IHDR body and compressed image data.

    Pillow writes neither 16-bit RGB nor a header that lies. Layout: PNG specification,
    third edition, sections 5.2 and 5.3.
    """
    file = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        file += struct.pack(">I", len(body)) + name + body
        file += struct.pack(">I", zlib.crc32(name + body))
    return file


def encode_rgb16(pixels: NDArray[np.uint16]) -> bytes:
    """A 16-bit RGB PNG; `pixels` has shape (height, width, 3)."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return encode_png_chunks(header, zlib.compress(rows, 9))


def encode_bomb() -> bytes:
    """A PNG of under 100 bytes that claims 60000x60000 pixels (10.8 GB as RGB)."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return encode_png_chunks(header, zlib.compress(bytes(64), 9))


def encode_exif(orientation: int) -> bytes:
    """An Exif block that holds the orientation tag alone."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return exif.tobytes()


def colorants_d50(
    primaries: tuple[tuple[float, float], ...], white: tuple[float, float]
) -> NDArray[np.float64]:
    """Linear RGB to XYZ under D50, as an ICC matrix profile wants it.

    Adapted by the linear Bradford transform (ICC.1:2010, annex E).

    Args:
        primaries: Chromaticities xy of red, green and blue.
        white: Chromaticity xy of the white point.

    Returns:
        Shape (3, 3); the columns are the red, green and blue colorants.
    """

    def tristimulus(x: float, y: float) -> NDArray[np.float64]:
        return np.array([x / y, 1.0, (1 - x - y) / y])

    columns = np.stack([tristimulus(*xy) for xy in primaries], axis=1)
    source = tristimulus(*white)
    to_xyz = columns * np.linalg.solve(columns, source)
    bradford = np.array(
        [
            [0.8951, 0.2664, -0.1614],
            [-0.7502, 1.7135, 0.0367],
            [0.0389, -0.0685, 1.0296],
        ]
    )
    d50 = np.array([0.9642, 1.0, 0.8249])
    gains = (bradford @ d50) / (bradford @ source)
    return np.linalg.inv(bradford) @ np.diag(gains) @ bradford @ to_xyz


def build_wide_profile() -> bytes:
    """An ICC v2 display profile with Display P3's primaries and a plain gamma of 2.2.

    Nobody's profile is copied: the tags are computed here. Layout: ICC.1:2001-04,
    sections 6.1 (header), 6.2 (tag table) and 6.5 (types).
    """
    description = b"Wide gamut, gamma 2.2\0"
    colorants = colorants_d50(
        ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), (0.3127, 0.3290)
    )

    def xyz(values: NDArray[np.float64]) -> bytes:
        fixed = [round(float(value) * 65536) for value in values]
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *fixed)

    # u8Fixed8: 563 / 256 = 2.19921875.
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)
    tags = {
        b"desc": b"desc\0\0\0\0"
        + struct.pack(">I", len(description))
        + description
        # No Unicode and no ScriptCode description: 4 + 4 + 2 + 1 + 67 bytes.
        + bytes(78),
        b"cprt": b"text\0\0\0\0No rights reserved\0",
        b"wtpt": xyz(np.array([0.9642, 1.0, 0.8249])),
        b"rXYZ": xyz(colorants[:, 0]),
        b"gXYZ": xyz(colorants[:, 1]),
        b"bXYZ": xyz(colorants[:, 2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    offset = 128 + 4 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += name + struct.pack(">II", offset + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    header = struct.pack(">I4sI", offset + len(bodies), bytes(4), 0x02100000)
    header += b"mntrRGB XYZ " + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp"
    header += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header + bytes(128 - len(header)) + table + bodies


def make_orientations(upright: Pixels) -> dict[str, bytes]:
    """The upright picture in every Exif orientation, and two odd ones."""
    files = {}
    exact: dict[str, Any] = {"quality": 95, "subsampling": 0}
    for orientation in ORIENTATION_SIDES:
        stored = Image.fromarray(store_oriented(upright, orientation))
        name = f"orientation_{orientation}.jpg"
        files[name] = encode(stored, "JPEG", exif=encode_exif(orientation), **exact)
    invalid = encode_exif(9)
    files["orientation_invalid.jpg"] = encode(
        Image.fromarray(upright), "JPEG", exif=invalid, **exact
    )
    stored = Image.fromarray(store_oriented(upright, 6))
    files["orientation_6.png"] = encode(stored, "PNG", exif=encode_exif(6))
    return files


def make_modes(upright: Pixels) -> dict[str, bytes]:
    """Grey, palette, alpha, CMYK and 16-bit pictures."""
    ramp = np.tile(np.arange(WIDTH, dtype=np.uint8) * 5, (HEIGHT, 1))
    bands = np.array([0, 128, 255, 255], np.uint8).repeat(HEIGHT // 4)
    alpha = np.tile(bands[:, np.newaxis], (1, WIDTH))
    entries = np.arange(4, dtype=np.uint8).repeat(WIDTH // 4)
    palette = Image.fromarray(np.tile(entries, (HEIGHT, 1)))
    palette.putpalette((255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 0))
    inks = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    for ink in range(4):
        inks[:, ink * 8 : ink * 8 + 8, ink] = 255
    cmyk = Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes())
    grey16 = np.tile(np.arange(WIDTH, dtype=np.uint16) * 1285, (HEIGHT, 1))
    plain = Image.fromarray(upright)
    rgba = Image.fromarray(np.dstack([upright, alpha]))
    return {
        "grey.png": encode(Image.fromarray(ramp), "PNG"),
        "grey.jpg": encode(Image.fromarray(ramp), "JPEG", quality=95),
        "grey_alpha.png": encode(Image.fromarray(np.dstack([ramp, alpha])), "PNG"),
        "palette.png": encode(palette, "PNG"),
        "palette_transparent.png": encode(palette, "PNG", transparency=1),
        "colour_key.png": encode(plain, "PNG", transparency=(0, 255, 0)),
        "rgba.png": encode(rgba, "PNG"),
        "rgba.webp": encode(rgba, "WEBP", lossless=True),
        "cmyk.jpg": encode(cmyk, "JPEG", quality=95, subsampling=0),
        "grey16.png": encode(Image.fromarray(grey16), "PNG"),
        "rgb16.png": encode_rgb16(upright.astype(np.uint16) * 257),
    }


def make_formats(upright: Pixels) -> dict[str, bytes]:
    """Other formats, and pictures with a colour profile."""
    plain = Image.fromarray(upright)
    patches = np.zeros((16, 32, 3), np.uint8)
    patches[:, :8] = (128, 128, 128)
    patches[:, 8:16] = (160, 110, 90)
    patches[:, 16:24] = (255, 0, 0)
    patches[:, 24:] = (255, 255, 255)
    wide = Image.fromarray(patches)
    profile = build_wide_profile()
    exact: dict[str, Any] = {"quality": 95, "subsampling": 0}
    red, blue = (Image.new("RGB", (WIDTH, HEIGHT), name) for name in ("red", "blue"))
    return {
        "icc_wide.png": encode(wide, "PNG", icc_profile=profile),
        "icc_wide.jpg": encode(wide, "JPEG", icc_profile=profile, **exact),
        "icc_broken.png": encode(plain, "PNG", icc_profile=b"not a profile" * 12),
        "lossless.webp": encode(plain, "WEBP", lossless=True),
        "plain.bmp": encode(plain, "BMP"),
        "animated.gif": encode(
            red, "GIF", save_all=True, append_images=[blue], duration=100
        ),
        "progressive.jpg": encode(plain, "JPEG", progressive=True, **exact),
    }


def make_extremes(upright: Pixels) -> dict[str, bytes]:
    """Files that are broken, or barely pictures."""
    noise = np.random.default_rng(20240501).integers(0, 256, (32, 32, 3), np.uint8)
    whole_jpeg = encode(Image.fromarray(noise), "JPEG", quality=75)
    whole_png = encode(Image.fromarray(noise), "PNG")
    stripe = np.zeros((500, 3, 3), np.uint8)
    stripe[:250] = (255, 0, 0)
    stripe[250:] = (0, 0, 255)
    return {
        "truncated.jpg": whole_jpeg[: len(whole_jpeg) * 8 // 10],
        "truncated.png": whole_png[: len(whole_png) * 4 // 10],
        "header_only.jpg": encode(Image.fromarray(upright), "JPEG")[:20],
        "empty.jpg": b"",
        "text.jpg": b"A line of text, whatever its name says.\n",
        "bomb.png": encode_bomb(),
        "one_pixel.png": encode(Image.new("RGB", (1, 1), (10, 20, 30)), "PNG"),
        "tall_3x500.png": encode(Image.fromarray(stripe), "PNG"),
    }


def make_pictures() -> dict[str, bytes]:
    """Every picture's bytes by file name."""
    upright = draw_upright()
    return {
        **make_orientations(upright),
        **make_modes(upright),
        **make_formats(upright),
        **make_extremes(upright),
    }


def write_pictures(folder: Path) -> None:
    """Write every picture into `folder`, which is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in make_pictures().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    write_pictures(Path(__file__).parent / "pictures")
