"""Data sets: a folder per class, a flat folder with labels.csv, or no labels at all.

Pictures have one of two roles. Evaluation pictures only measure; calibration
pictures are used for calibration and for every choice that is made from pictures.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
        ignored: Names of the files without a picture's suffix, and of broken links.
    """

    name: str
    pictures: tuple[Picture, ...]
    samples: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def labelled(self) -> int:
        """How many pictures have a label."""
        return sum(picture.label is not None for picture in self.pictures)


def check_folder(folder: Path) -> None:
    """Refuse what is no folder, before anything is spent on it.

    Raises:
        InputError: If the folder is missing or cannot be reached.
    """
    try:
        if folder.is_dir():
            return
        what = "is no folder" if folder.exists() else "no such folder"
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}; make it readable") from error
    raise InputError(f"{folder}: {what} of pictures")


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
        InputError: If the folder is missing, unreadable or empty, a label is
            unknown, or a name is not UTF-8.
    """
    check_folder(folder)
    index = _label_index(labels, label_ids)
    files = {path.relative_to(folder).as_posix(): path for path in _walk(folder)}
    broken = {name for name, path in files.items() if not _is_regular(path)}
    _refuse_unprintable(folder, files)
    pictures = {
        name: files[name]
        for name in sorted(files)
        if files[name].suffix.lower() in SUFFIXES and name not in broken
    }
    if not pictures:
        raise InputError(
            f"{folder}: holds no pictures ({', '.join(SUFFIXES)}); found "
            f"{len(files)} other files. Give a folder with pictures"
        )
    table = folder / LABELS_FILE
    if table.is_file():
        known = _from_table(table, pictures, index, column)
    else:
        ids = {name: number for number, name in enumerate(label_ids)}
        known = _from_names(folder, pictures, index, ids)
    return Dataset(
        name=folder.resolve().name,
        pictures=tuple(
            Picture(name=name, path=path, label=known.get(name))
            for name, path in pictures.items()
        ),
        ignored=tuple(sorted(set(files) - set(pictures) - {LABELS_FILE})),
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


def _walk(folder: Path) -> Iterator[Path]:
    """Find every visible file, through links to folders but never in a circle."""
    waiting = [(folder, frozenset[tuple[int, int]]())]
    while waiting:
        current, above = waiting.pop()
        try:
            status = current.stat()
            entries = list(os.scandir(current))
        except OSError as error:
            raise InputError(
                f"{current}: cannot be read ({error.strerror}); make it readable or "
                "remove it"
            ) from error
        here = (status.st_dev, status.st_ino)
        if here in above:
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                waiting.append((Path(entry.path), above | {here}))
            else:
                yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself, or into a folder that is closed to us.
        return False


def _is_regular(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _refuse_unprintable(folder: Path, names: Mapping[str, Path]) -> None:
    """Refuse names that could be written into no report."""
    wrong = sorted(name for name in names if not _is_unicode(name))
    if wrong:
        raise InputError(
            f"{folder}: {len(wrong)} file names are not UTF-8, such as {wrong[0]!a}; "
            "rename them"
        )


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _label_index(labels: Sequence[str], label_ids: Sequence[str]) -> dict[str, int]:
    # Folder names often have underscores where labels have spaces; where two labels
    # become one that way, neither is meant.
    written = [label.replace(" ", "_") for label in labels]
    counts = Counter(written)
    index = {
        label: number for number, label in enumerate(written) if counts[label] == 1
    }
    # A label as the model spells it comes before every other name.
    index |= {label: number for number, label in enumerate(label_ids)}
    index |= {label: number for number, label in enumerate(labels)}
    return index


def _from_table(
    table: Path, pictures: Mapping[str, Path], index: dict[str, int], column: str
) -> dict[str, int | None]:
    """Read labels.csv; a picture that it does not list has no label."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: not a UTF-8 CSV file ({error})") from error
    name = column if column in header else "label"
    if not {"file", name} <= set(header):
        raise InputError(
            f"{table}: needs the columns file and {column or 'label'}; found "
            f"{', '.join(sorted(header)) or 'none'}"
        )
    known: dict[str, int | None] = {}
    for number, row in rows:
        picture, label = (row["file"] or "").strip(), (row[name] or "").strip()
        if label and label not in index:
            raise InputError(
                f"{table}:{number}: {label!r} is not a label of this model; expected "
                f"one such as {next(iter(index))!r}"
            )
        if picture not in pictures:
            raise InputError(
                f"{table}:{number}: lists {picture!r}, which is no picture in "
                f"{table.parent}; mend the row or remove it"
            )
        value = index[label] if label else None
        if known.setdefault(picture, value) != value:
            raise InputError(
                f"{table}:{number}: gives {picture} a second, other label, {label!r}; "
                "keep one of the rows"
            )
    return known


def _from_names(
    folder: Path,
    pictures: Mapping[str, Path],
    index: dict[str, int],
    ids: dict[str, int],
) -> dict[str, int | None]:
    """Read labels from folder names, or from an id that begins the file's name."""
    known: dict[str, int | None] = {}
    unknown: set[str] = set()
    for name in pictures:
        first, _, rest = name.partition("/")
        if rest:
            known[name] = index.get(first)
            if first not in index:
                unknown.add(first)
        else:
            known[name] = ids.get(first.split("_")[0])
    if unknown and any(label is not None for label in known.values()):
        # Some pictures have labels: a typing mistake, not a data set without any.
        raise InputError(
            f"{folder}: {len(unknown)} folders are no labels of this model, such as "
            f"{min(unknown)!r}; rename or remove them"
        )
    return known
