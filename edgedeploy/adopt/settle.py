"""From the path of a model file to the path of its TOML, written on first use."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.adopt.classes import (
    fit_labels,
    labels_of_folders,
    numbered_labels,
)
from edgedeploy.adopt.found import Found
from edgedeploy.adopt.kinds import Kind, kind_of
from edgedeploy.adopt.ranges import RANGES, usual_range
from edgedeploy.adopt.write import Draft, write_toml
from edgedeploy.architectures import GRAPHS, TRUSTED
from edgedeploy.catalog import read_model_file
from edgedeploy.errors import InputError
from edgedeploy.fetch import fetch
from edgedeploy.formats.labels import format_labels, read_labels
from edgedeploy.isolate import run_isolated, silent
from edgedeploy.specs import LOGITS, PICTURE, FileSource, ModelSpec
from edgedeploy.workspace import cache_folder, write_bytes

# Given a question, the answers to choose from and the usual one; None where nobody is
# there to be asked.
Ask = Callable[[str, tuple[str, ...], str], str | None]
_NO_NAME = re.compile(r"[^a-z0-9_-]+")
_DETECT = "inv pipeline.detect checks it on labelled pictures"
_LOOK = "the page of inv sweep shows what comes of it"
_LICENCE = (
    "All rights reserved by the owner of this model; replace this text by yours.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user gives beside the model file.

    Attributes:
        path: The model file, or a SavedModel's folder.
        labels: A label file, or None.
        images: Folder of pictures, or None; its folders may name the classes.
        trust: Whether code in the file may run.
    """

    path: Path
    labels: Path | None = None
    images: Path | None = None
    trust: bool = False


def settle_model(
    wish: Wish, *, ask: Ask, note: Callable[[str], None], warn: Callable[[str], None]
) -> Path:
    """Find a model file's TOML, or write it from what the file says.

    Args:
        wish: The file, and what goes with it.
        ask: Asked only for what cannot be known.
        note: Told what was found and written.
        warn: Told what was assumed.

    Returns:
        Path of the TOML, beside the file.

    Raises:
        InputError: If the file is none that can be taken in, or the TOML that is there
            contradicts what was given.
    """
    kind = kind_of(wish.path)
    if wish.trust and kind.architecture in GRAPHS:
        raise InputError(
            f"{wish.path}: --trust is for .keras, .h5 and SavedModels that run code of "
            "their own; it changes nothing for this file, so leave it out"
        )
    name = model_name(wish.path)
    toml = wish.path.resolve().parent / f"{name}.toml"
    if toml.exists():
        _check_known(toml, wish, warn)
        note(
            f"{toml} is there already and was kept; it takes {wish.path}. Remove it to "
            "have it written anew"
        )
        return toml
    found = _look(wish, kind)
    if not (found.width and found.height):
        raise InputError(
            f"{wish.path}: leaves its picture's size open, so no build can know it; "
            "save it with a fixed input, such as keras.Input((224, 224, 3))"
        )
    pictured = found.outputs == PICTURE
    labels, given = ((), "") if pictured else _labels(wish, found, warn, note)
    if pictured and wish.labels is not None:
        raise InputError(
            f"{wish.path}: gives a picture, which has no classes; leave --labels out"
        )
    mean, std, reason = _range(wish, kind, found, ask, warn)
    listed = given or f"{name}.classes.txt"
    draft = Draft(
        name=name,
        file=wish.path.resolve().name,
        architecture=kind.architecture,
        found=found,
        labels=listed,
        licence=f"{name}.licence.txt",
        mean=mean,
        std=std,
        reason=reason,
    )
    if not given and not pictured:
        _write_new(toml.with_name(listed), format_labels(labels))
    if not toml.with_name(draft.licence).exists():
        write_bytes(toml.with_name(draft.licence), _LICENCE.encode())
    # The TOML comes last: without it, the next run begins anew.
    write_bytes(toml, write_toml(draft).encode())
    softmax = "; logits, so a softmax is added" if found.outputs == LOGITS else ""
    gives = "gives a picture" if pictured else f"{found.classes} classes{softmax}"
    note(
        f"wrote {toml}: {found.width}x{found.height}, {gives}. {reason}. Edit it where "
        "it is wrong"
    )
    return toml


def model_name(path: Path) -> str:
    """Make a model's name of its file's: a-z, 0-9, _ and -, beginning with a letter.

    Args:
        path: The model file or folder.
    """
    resolved = path.resolve()
    stem = resolved.name if resolved.is_dir() else resolved.stem
    name = _NO_NAME.sub("_", stem.lower()).strip("_-")
    return (name if name[:1].isalpha() else f"model_{name}".rstrip("_"))[:64]


def _look(wish: Wish, kind: Kind) -> Found:
    source = FileSource(path=str(wish.path.resolve()))
    fetched = fetch(source, cache=cache_folder(), offline=True, progress=silent)
    layout = kind.layout + (TRUSTED if wish.trust else "")
    values = run_isolated(
        "edgedeploy.adopt.look:look",
        {
            "path": str(fetched.path),
            "architecture": kind.architecture,
            "layout": layout,
            "sha256": fetched.sha256,
        },
        what=f"reading {wish.path}",
    )
    return Found.from_dict(values)


def _labels(
    wish: Wish,
    found: Found,
    warn: Callable[[str], None],
    note: Callable[[str], None],
) -> tuple[tuple[str, ...], str]:
    """The labels, and the user's own file's name where it can be used as it is."""
    if wish.labels is not None:
        listed = read_labels(wish.labels)
        labels = fit_labels(listed, found.classes, source=str(wish.labels), tell=warn)
        beside = wish.labels.resolve().parent == wish.path.resolve().parent
        plain = wish.labels.read_bytes() == format_labels(labels)
        return labels, wish.labels.name if beside and plain else ""
    if found.labels:
        note(f"{wish.path}: its metadata names {len(found.labels)} classes")
        return (
            fit_labels(found.labels, found.classes, source="metadata", tell=warn),
            "",
        )
    folders = labels_of_folders(wish.images, found.classes)
    if folders:
        warn(
            f"no --labels: the {len(folders)} folders of {wish.images} name the "
            "classes, sorted, as Keras and torchvision number them"
        )
        return folders, ""
    warn(
        f"no --labels: the classes are called class 0 to class {found.classes - 1}; "
        "give a label file, a class a line, to name them"
    )
    return numbered_labels(found.classes), ""


def _range(
    wish: Wish,
    kind: Kind,
    found: Found,
    ask: Ask,
    warn: Callable[[str], None],
) -> tuple[tuple[float, float, float], tuple[float, float, float], str]:
    check = _LOOK if found.outputs == PICTURE else _DETECT
    if found.mean is not None and found.std is not None:
        if not found.assumed:
            return found.mean, found.std, f"Known from the file: {found.reason}"
        warn(
            f"{wish.path}: {found.reason}; assumed from it: mean {found.mean[0]:.4g}, "
            f"std {found.std[0]:.4g}. If that is wrong, set them in the TOML; {check}"
        )
        return found.mean, found.std, f"Assumed from the file: {found.reason}"
    usual = usual_range(kind.architecture)
    answer = ask(
        f"Which numbers was {wish.path.name} trained with?", tuple(RANGES), usual.name
    )
    if answer is not None:
        chosen = RANGES[answer]
        return chosen.mean, chosen.std, f"As answered: {answer}"
    warn(
        f"{wish.path}: the file does not say which numbers the network takes; assumed "
        f"{usual.name}, as usual for its kind. If that is wrong, set mean and std in "
        f"the TOML; {check}"
    )
    return usual.mean, usual.std, f"Assumed: {usual.name}, as usual for its kind"


def _write_new(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() != data:
        raise InputError(
            f"{path} is there already, with other labels; remove it, or give it as "
            "--labels"
        )
    write_bytes(path, data)


def _check_known(toml: Path, wish: Wish, warn: Callable[[str], None]) -> None:
    """Insist that a TOML which is there speaks of the same file and labels."""
    specs = read_model_file(toml)
    if not any(_is_source(spec, wish.path) for spec in specs):
        raise InputError(
            f"{toml} is there already and speaks of another file than {wish.path}; "
            "give --model the .toml, or rename one of them"
        )
    if wish.labels is None:
        return
    labels = specs[0].labels
    source = str(wish.labels)
    given = fit_labels(read_labels(wish.labels), len(labels), source=source, tell=warn)
    if given != labels:
        raise InputError(
            f"{wish.labels} has other labels than {toml}; edit the label file that it "
            "names, or remove the .toml to have it written anew"
        )


def _is_source(spec: ModelSpec, path: Path) -> bool:
    source = spec.source
    return isinstance(source, FileSource) and Path(source.path) == path.resolve()
