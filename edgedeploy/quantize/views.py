"""More views of the calibration pictures than there are pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def views(
    pictures: Sequence[NDArray[np.uint8]],
    count: int,
    seed: int,
    smallest: float = 0.6,
) -> Iterator[NDArray[np.uint8]]:
    """Make several views of each picture: itself, then mirrored and enlarged crops.

    A few hundred pictures say little about a thousand inputs of a classifier; crops of
    them say more.

    Args:
        pictures: Prepared pictures, shape (height, width, 3), uint8.
        count: Views of each, 1 or more.
        seed: Of the crops.
        smallest: Share of height and width that a crop has at least.

    Yields:
        Arrays of the same shape and dtype, picture by picture.
    """
    from PIL import Image

    for number, picture in enumerate(pictures):
        yield picture
        random = np.random.default_rng([seed, number])
        height, width = picture.shape[:2]
        for view in range(1, count):
            share = float(random.uniform(smallest, 1.0))
            tall, wide = max(1, int(height * share)), max(1, int(width * share))
            top = int(random.integers(0, height - tall + 1))
            left = int(random.integers(0, width - wide + 1))
            crop = picture[top : top + tall, left : left + wide]
            if view % 2:
                crop = crop[:, ::-1]
            resized = Image.fromarray(np.ascontiguousarray(crop)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
            yield np.asarray(resized)
