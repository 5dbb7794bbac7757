"""What the real libraries give, to be run where they are installed.

`python real_libraries.py skia` and `… mediapipe MODELS` print a digest for each case as
JSON. MODELS holds models that answer with their input, one a size: 12x16.tflite and so
on, rows first.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

# Rows and columns of the picture, rows and columns wanted.
CASES = (
    (12, 16, 12, 16),
    (24, 32, 12, 16),
    (7, 5, 12, 16),
    (97, 61, 33, 40),
    (30, 40, 33, 40),
    (1, 2, 33, 40),
    (500, 375, 224, 224),
    # Over 127 columns and enlarged: where Skia starts its sums anew shows.
    (224, 150, 224, 224),
    (451, 449, 224, 224),
)


def picture(rows, columns):
    """Noise that no library's random numbers decide."""
    numbers = np.arange(rows * columns * 3, dtype=np.uint64) * np.uint64(2654435761)
    mixed = (numbers ^ (numbers >> np.uint64(15))) * np.uint64(2246822519)
    return (
        ((mixed >> np.uint64(13)) & np.uint64(255))
        .astype(np.uint8)
        .reshape(rows, columns, 3)
    )


def digest(values):
    return hashlib.sha256(np.ascontiguousarray(values, np.uint8)).hexdigest()[:16]


def name(case):
    return "{}x{} to {}x{}".format(*case)


def draw_skia(case, smooth):
    """As android.graphics.Bitmap: drawImageRect under a scaled matrix."""
    import skia

    rows, columns, height, width = case
    # What is the platform's own format on a phone is this one here.
    kind = skia.kBGRA_8888_ColorType
    opaque = np.full((rows, columns, 1), 255, np.uint8)
    pixels = np.ascontiguousarray(np.dstack([picture(rows, columns), opaque]))
    image = skia.Image.fromarray(
        pixels, colorType=kind, alphaType=skia.kOpaque_AlphaType
    )
    out = np.zeros((height, width, 4), np.uint8)
    info = skia.ImageInfo.Make(width, height, kind, skia.kPremul_AlphaType)
    canvas = skia.Surface.MakeRasterDirect(info, out).getCanvas()
    canvas.scale(width / columns, height / rows)
    whole = skia.Rect(0, 0, columns, rows)
    mode = skia.FilterMode.kLinear if smooth else skia.FilterMode.kNearest
    canvas.drawImageRect(
        image, whole, whole, skia.SamplingOptions(mode), skia.Paint(),
        skia.Canvas.kFast_SrcRectConstraint,
    )  # fmt: skip
    return out[..., :3]


def run_mediapipe(case, models):
    """Let a model that answers with its input say what MediaPipe gave it."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    rows, columns, height, width = case
    model = str(models / f"{height}x{width}.tflite")
    options = vision.ImageEmbedderOptions(
        base_options=BaseOptions(model_asset_path=model),
        l2_normalize=False,
        quantize=False,
    )
    with vision.ImageEmbedder.create_from_options(options) as embedder:
        image = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=picture(rows, columns)
        )
        found = embedder.embed(image).embeddings[0].embedding
    return np.array(found).reshape(height, width, 3)


def main(library, models=""):
    if library == "skia":
        found = {
            kind: {name(case): digest(draw_skia(case, smooth)) for case in CASES}
            for kind, smooth in (("bilinear", True), ("nearest", False))
        }
    else:
        found = {
            name(case): digest(run_mediapipe(case, Path(models))) for case in CASES
        }
    print(json.dumps({library: found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
