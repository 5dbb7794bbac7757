"""Data sets: a folder per class, a flat folder with labels.csv, or no labels at all.

Pictures have one of two roles. Evaluation pictures only measure; calibration
pictures are used for calibration and for every choice that is made from pictures.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgedeploy.errors import InputError
from edgedeploy.ondevice.pictures import SUFFIXES

MINIMUM = 16
RECOMMENDED = 100
SPLIT = 8
LABELS_FILE = "labels.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture of a data set.

    Attributes:
        name: Path relative to the data set, with forward slashes.
        path: Where the file is.
        label: Index of its class in the model's numbering, or None.
    """

    name: str
    path: Path
    label: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Pictures in a fixed order.

    Attributes:
        name: For people: the folder's name, or "shipped samples".
        pictures: Sorted by name.
        samples: Whether these are the pictures that the project ships.
        ignored: Names of files that no class of the model fits, or no picture suffix.
    """

    name: str
    pictures: tuple[Picture, ...]
    samples: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def labelled(self) -> int:
        """How many pictures have a label."""
        return sum(picture.label is not None for picture in self.pictures)


def read_dataset(
    folder: Path,
    labels: Sequence[str],
    label_ids: Sequence[str] = (),
    *,
    column: str = "",
) -> Dataset:
    """Find the pictures of a folder and their labels.

    Args:
        folder: Either one folder per class, named by label or by id; or a flat
            folder with labels.csv (`file,label`); or a flat folder whose files begin
            with an id ("n01440764_tench.JPEG"); or pictures without labels.
        labels: The model's labels.
        label_ids: Other names of the same classes, or empty.
        column: Column of labels.csv to read; "label" is taken where it is missing.

    Returns:
        The pictures, sorted by name.

    Raises:
        InputError: If the folder is missing or empty, or a label is unknown.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of pictures")
    index = _label_index(labels, label_ids)
    files = sorted(
        (
            path
            for path in folder.rglob("*")
            if path.is_file()
            and not any(p.startswith(".") for p in path.relative_to(folder).parts)
        ),
        key=lambda path: path.relative_to(folder).as_posix(),
    )
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise InputError(
            f"{folder}: holds no pictures ({', '.join(SUFFIXES)}); found "
            f"{len(files)} other files"
        )
    table = folder / LABELS_FILE
    if table.is_file():
        found, ignored = _from_table(table, pictures, index, column)
    else:
        found, ignored = _from_names(folder, pictures, index)
    others = [
        path.relative_to(folder).as_posix()
        for path in files
        if path.suffix.lower() not in SUFFIXES and path != table
    ]
    return Dataset(
        name=folder.resolve().name,
        pictures=tuple(found),
        ignored=tuple(sorted([*ignored, *others])),
    )


def split_calibration(
    dataset: Dataset, digests: Sequence[str]
) -> tuple[Dataset, Dataset]:
    """Set a deterministic eighth (at least 16) aside for calibration.

    The pictures whose content digests sort first are taken, so the split depends
    neither on names nor on their order, and equal pictures stay together.

    Args:
        dataset: All pictures.
        digests: SHA-256 of each picture's bytes, in the data set's order.

    Returns:
        (calibration, evaluation), disjoint by content.

    Raises:
        InputError: If fewer than 2 x 16 pictures are there.
    """
    distinct = sorted(set(digests))
    count = max(MINIMUM, len(distinct) // SPLIT)
    if len(distinct) < count + MINIMUM:
        raise InputError(
            f"{dataset.name}: {len(distinct)} distinct pictures are too few to set "
            f"{count} aside for calibration and evaluate on at least {MINIMUM}; add "
            "pictures, or give --calibration a folder of its own"
        )
    chosen = set(distinct[:count])
    pairs = list(zip(dataset.pictures, digests, strict=True))
    calibration = tuple(picture for picture, digest in pairs if digest in chosen)
    evaluation = tuple(picture for picture, digest in pairs if digest not in chosen)
    return (
        replace(dataset, name=f"{dataset.name} (split)", pictures=calibration),
        replace(dataset, pictures=evaluation),
    )


def dataset_digest(dataset: Dataset, digests: Sequence[str]) -> str:
    """SHA-256 over names, contents and labels, in order."""
    total = hashlib.sha256()
    for picture, digest in zip(dataset.pictures, digests, strict=True):
        total.update(f"{picture.name}\0{digest}\0{picture.label}\n".encode())
    return total.hexdigest()


def _label_index(labels: Sequence[str], label_ids: Sequence[str]) -> dict[str, int]:
    index = {label: number for number, label in enumerate(labels)}
    # Folder names often have underscores where labels have spaces.
    index |= {label.replace(" ", "_"): number for number, label in enumerate(labels)}
    index |= {label: number for number, label in enumerate(label_ids)}
    return index


def _from_table(
    table: Path, pictures: Sequence[Path], index: dict[str, int], column: str
) -> tuple[list[Picture], list[str]]:
    """Read labels.csv; a picture that it does not list has no label."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: not a UTF-8 CSV file ({error})") from error
    header = set(rows[0]) if rows else set()
    name = column if column in header else "label"
    if not {"file", name} <= header:
        raise InputError(
            f"{table}: needs the columns file and {column or 'label'}; found "
            f"{', '.join(sorted(str(key) for key in header)) or 'none'}"
        )
    folder = table.parent
    by_file: dict[str, int | None] = {}
    for number, row in enumerate(rows, start=2):
        label = (row[name] or "").strip()
        if label and label not in index:
            raise InputError(
                f"{table}:{number}: {label!r} is not a label of this model; expected "
                f"one such as {next(iter(index))!r}"
            )
        by_file[(row["file"] or "").strip()] = index[label] if label else None
    names = {path.relative_to(folder).as_posix(): path for path in pictures}
    missing = sorted(set(by_file) - set(names))
    if missing:
        raise InputError(f"{table}: lists {missing[0]}, which is not in {folder}")
    return [
        Picture(name=file, path=path, label=by_file.get(file))
        for file, path in names.items()
    ], []


def _from_names(
    folder: Path, pictures: Sequence[Path], index: dict[str, int]
) -> tuple[list[Picture], list[str]]:
    """Read labels from folder names, or from an id that begins the file's name."""
    found: list[Picture] = []
    unknown: set[str] = set()
    for path in pictures:
        name = path.relative_to(folder)
        if len(name.parts) > 1:
            label = index.get(name.parts[0])
            if label is None:
                unknown.add(name.parts[0])
        else:
            label = index.get(path.name.split("_")[0])
        found.append(Picture(name=name.as_posix(), path=path, label=label))
    if unknown and len(unknown) < len({Path(p.name).parts[0] for p in found}):
        # Some folders are classes and others are not: a typing mistake, not a
        # data set without labels.
        raise InputError(
            f"{folder}: {len(unknown)} folders are no labels of this model, such as "
            f"{min(unknown)!r}; rename or remove them"
        )
    return found, []
