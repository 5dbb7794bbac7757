"""The page of a sweep: the same pictures side by side, one column a width."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy.report import notation
from edgedeploy.report.templating import open_templates
from edgedeploy.report.thumbnails import Thumbnail, make_thumbnail
from edgedeploy.report.widths import SCHEMES, decibels, tabulate_widths
from edgedeploy.specs import ModelSpec

SHOWN, SHOWN_GIVEN = 12, 6
_LARGEST, _QUALITY = 256, 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """What one width made of one picture.

    Attributes:
        bits: The width.
        text: The answer where it changed, else empty; of pictures, the PSNR.
        detail: The confidence; of pictures, the SSIM.
        changed: Whether it is not float32's any more.
        uri: The output picture as a data URI, or empty.
    """

    bits: int
    text: str
    detail: str
    changed: bool
    uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One picture at every width.

    Attributes:
        name: Of its file.
        thumbnail: As the network sees it.
        answer: float32's, or empty where the output is a picture.
        confidence: float32's.
        uri: float32's output picture, or empty.
        breaks: A sentence of where each scheme breaks.
        lines: By scheme, its widths, the widest first.
    """

    name: str
    thumbnail: Thumbnail
    answer: str
    confidence: str
    uri: str
    breaks: str
    lines: tuple[tuple[str, tuple[Width, ...]], ...]


def choose_shown(pictures: Sequence[Any], show: Sequence[str]) -> list[int]:
    """Choose the pictures to show: those that are named, or some from end to end.

    Args:
        pictures: Each with a `name`.
        show: Names; empty for our own choice.

    Returns:
        Indices into the pictures.
    """
    if show:
        places = {picture.name: index for index, picture in enumerate(pictures)}
        return [places[name] for name in show]
    return _spread(len(pictures), SHOWN_GIVEN)


def render_sweep(
    value: Mapping[str, Any],
    spec: ModelSpec,
    paths: Mapping[str, Path],
    *,
    show: Sequence[str] = (),
    folder: Path | None = None,
) -> str:
    """Write the page.

    Args:
        value: The value of sweep.json.
        spec: The model, for its labels and contract.
        paths: Where the pictures are, by name.
        show: Names of the pictures to show; empty for some that break early, late and
            never.
        folder: Where the output pictures are, for networks that give pictures.

    Returns:
        HTML that needs no other file.
    """
    given = value["outputs"] == "pictures"
    chosen = value["pictures"] if given else _choose(value["pictures"], show)
    template = open_templates().get_template("sweep.html")
    return template.render(
        model=spec.title,
        images=notation.counted(value["images"], "picture"),
        given=given,
        notes=value["notes"],
        widths=tabulate_widths(value),
        bits=[row["bits"] for row in value["rows"] if row["scheme"] == "linear"],
        cases=[
            _case(value, picture, spec, paths.get(picture["image"]), folder)
            for picture in chosen
        ],
    )


def _choose(
    pictures: Sequence[Mapping[str, Any]], show: Sequence[str]
) -> Sequence[Mapping[str, Any]]:
    if show:
        known = {picture["image"]: picture for picture in pictures}
        return [known[name] for name in show if name in known]
    # From those that break first to those that never do.
    ranked = sorted(pictures, key=_endurance)
    return [ranked[place] for place in _spread(len(ranked), SHOWN)]


def _endurance(picture: Mapping[str, Any]) -> tuple[int, str]:
    """How few bits a picture bears, the most fragile first."""
    total = sum(bits or 0 for bits in picture["breaks"].values())
    return -total, str(picture["image"])


def _spread(count: int, wanted: int) -> list[int]:
    """Places from the first to the last, as even as can be."""
    if count <= wanted:
        return list(range(count))
    return [round(place * (count - 1) / (wanted - 1)) for place in range(wanted)]


def _case(
    value: Mapping[str, Any],
    picture: Mapping[str, Any],
    spec: ModelSpec,
    path: Path | None,
    folder: Path | None,
) -> Case:
    given = value["outputs"] == "pictures"
    first = picture["answers"][0]
    lines: dict[str, list[Width]] = {}
    for row, one in zip(value["rows"], picture["answers"], strict=True):
        if row["scheme"] == "float32":
            continue
        name = f"{row['scheme']}-{row['bits']}"
        width = (
            _picture(row, picture, one, _embed(folder, picture["row"], name))
            if given
            else _answer(row, one, first, spec)
        )
        lines.setdefault(SCHEMES[row["scheme"]], []).append(width)
    return Case(
        name=str(picture["image"]),
        thumbnail=make_thumbnail(path, spec.pipeline),
        answer="" if given else spec.labels[first[0]],
        confidence="" if given else notation.percent(first[1], 0),
        uri=_embed(folder, picture["row"], "float32") if given else "",
        breaks=_breaks(picture["breaks"]),
        lines=tuple((scheme, tuple(widths)) for scheme, widths in lines.items()),
    )


def _answer(
    row: Mapping[str, Any], one: Sequence[Any], first: Sequence[Any], spec: ModelSpec
) -> Width:
    changed = one[0] != first[0]
    return Width(
        bits=row["bits"],
        text=spec.labels[one[0]] if changed else "",
        detail=notation.percent(one[1], 0),
        changed=changed,
    )


def _picture(
    row: Mapping[str, Any],
    picture: Mapping[str, Any],
    one: Mapping[str, Any],
    uri: str,
) -> Width:
    broken = picture["breaks"][row["scheme"]]
    return Width(
        bits=row["bits"],
        text=decibels(one["psnr_db"]),
        detail=f"SSIM{notation.SPACE}{notation.decimal(one['ssim'], 3)}",
        changed=broken is not None and row["bits"] <= broken,
        uri=uri,
    )


def _breaks(breaks: Mapping[str, int | None]) -> str:
    parts = [
        f"{SCHEMES[scheme]} {'never' if bits is None else f'at {bits}'}"
        for scheme, bits in breaks.items()
    ]
    return f"First breaks: {', '.join(parts)}."


def _embed(folder: Path | None, row: int, name: str) -> str:
    """An output picture as a data URI; empty where the file is gone."""
    from PIL import Image

    path = (folder or Path()) / f"{row}-{name}.png"
    try:
        with Image.open(path) as picture:
            shown = picture.convert("RGB")
    except (OSError, ValueError):
        return ""
    shown.thumbnail((_LARGEST, _LARGEST))
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
