"""What a picture file asks of whoever shows it, read from its header alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, ImageCms

from edgedeploy.ondevice.pictures import FORMATS

# What Pillow raises on malformed headers, EXIF blocks and profiles.
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peculiar:
    """How many pictures a careless device would show otherwise.

    Attributes:
        turned: Pictures that EXIF's orientation turns or mirrors.
        other_colours: Pictures with an embedded profile other than sRGB, such as
            Display P3.
    """

    turned: int
    other_colours: int


def count_peculiar(paths: Sequence[Path]) -> Peculiar:
    """Count the pictures that need their EXIF or their profile to look right.

    Args:
        paths: Picture files; what cannot be read is not counted.
    """
    found = [_look(path) for path in paths]
    return Peculiar(
        turned=sum(turned for turned, _ in found),
        other_colours=sum(coloured for _, coloured in found),
    )


def _look(path: Path) -> tuple[bool, bool]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            profile = image.info.get("icc_profile")
    except (*_BROKEN, Image.DecompressionBombError):
        return False, False
    coloured = profile is not None and not _is_srgb(profile)
    return orientation in range(2, 9), coloured


def _is_srgb(profile: bytes) -> bool:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.getProfileDescription(opened).startswith("sRGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        # Every viewer shows a picture with a broken profile as if it had none.
        return True
