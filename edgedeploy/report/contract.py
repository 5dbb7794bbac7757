"""The contract in words and as a table."""

from __future__ import annotations

from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.report import notation

_ORDERS = {
    "crop_then_resize": "crop, then resize",
    "resize_then_crop": "resize, then crop",
}
_CROPS = {"center_square": "largest centred square", "none": "whole picture"}


def describe_contract(pipeline: ImagePipeline) -> str:
    """Say in sentences how a picture becomes a tensor."""
    upright = (
        "turned upright by its EXIF tag"
        if pipeline.orientation == "exif"
        else "taken as stored, whatever its EXIF tag says"
    )
    profile = (
        "its embedded colour profile is converted to sRGB"
        if pipeline.icc == "to_srgb"
        else "its embedded colour profile is ignored"
    )
    return (
        f"A picture is {upright}, {profile}, and transparency is laid over "
        f"{_colour(pipeline.alpha_over)}. {_describe_geometry(pipeline)} "
        f"{_describe_values(pipeline)}"
    )


def tabulate_contract(pipeline: ImagePipeline) -> tuple[tuple[str, str], ...]:
    """List the contract's fields for people.

    Returns:
        Pairs of name and value, in the order in which the steps are taken.
    """
    return (
        ("orientation", "EXIF" if pipeline.orientation == "exif" else "as stored"),
        ("colour profile", "to sRGB" if pipeline.icc == "to_srgb" else "ignored"),
        ("transparency over", "rgb" + str(pipeline.alpha_over)),
        ("crop", _CROPS[pipeline.crop]),
        ("crop fraction", notation.percent(pipeline.crop_fraction)),
        ("order", _ORDERS[pipeline.order]),
        ("kernel", pipeline.kernel),
        ("antialias", "yes" if pipeline.antialias else "no"),
        ("output", _size(pipeline) + " pixels"),
        ("channels", pipeline.channels.upper()),
        ("mean", ", ".join(_plain(value) for value in pipeline.mean)),
        ("standard deviation", ", ".join(_plain(value) for value in pipeline.std)),
        ("digest", pipeline.digest()),
    )


def _describe_geometry(pipeline: ImagePipeline) -> str:
    kept = notation.percent(pipeline.crop_fraction)
    whole = pipeline.crop_fraction == 1
    target = f"to {_size(pipeline)} pixels"
    if pipeline.order == "crop_then_resize":
        what = (
            "The largest centred square"
            if pipeline.crop == "center_square"
            else "The whole picture, whatever its shape,"
        )
        share = "" if whole else f" is taken, {kept} of its side"
        verb = "is resized" if whole else "is kept and resized"
        return f"{what}{share} {verb} {target} with {_kernel(pipeline)}."
    shape = "" if pipeline.crop == "center_square" else ", whatever its shape,"
    margin = "" if whole else f" is {kept} of it"
    return (
        f"The whole picture{shape} is resized with {_kernel(pipeline)} until the "
        f"centred box of {_size(pipeline)} pixels{margin or ' fits'}, which is then "
        "cut out."
    )


def _describe_values(pipeline: ImagePipeline) -> str:
    formulas = [
        _formula(mean, std)
        for mean, std in zip(pipeline.mean, pipeline.std, strict=True)
    ]
    order = pipeline.channels.upper()
    if len(set(formulas)) == 1:
        return f"Every value x of 0 to 255 becomes {formulas[0]}, in {order} order."
    named = ", ".join(
        f"{name} {formula}"
        for name, formula in zip(("red", "green", "blue"), formulas, strict=True)
    )
    return f"A value x of 0 to 255 becomes: {named}; in {order} order."


def _formula(mean: float, std: float) -> str:
    if mean == 0:
        top = "x"
    elif mean < 0:
        top = f"(x + {_plain(-mean)})"
    else:
        top = f"(x {notation.MINUS} {_plain(mean)})"
    if std == 1:
        return top.strip("()")
    return f"{top} / {_plain(std)}"


def _kernel(pipeline: ImagePipeline) -> str:
    kind = "an antialiased" if pipeline.antialias else "a plain"
    return f"{kind} {pipeline.kernel} kernel"


def _size(pipeline: ImagePipeline) -> str:
    return f"{pipeline.width} × {pipeline.height}"  # noqa: RUF001


def _colour(rgb: tuple[int, int, int]) -> str:
    named = {(255, 255, 255): "white", (0, 0, 0): "black"}
    return named.get(rgb, f"rgb{rgb}")


def _plain(value: float) -> str:
    return f"{value:.6g}".replace("-", notation.MINUS)
