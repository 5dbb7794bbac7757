"""The pictures and label files that the project ships."""

from __future__ import annotations

import csv
import hashlib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomlkit
from PIL import Image

MODELS = Path(__file__).parents[1] / "models"
SAMPLES = MODELS / "samples"
ROLES = ("calibration", "evaluation")

# All of these free a picture of every condition, so that bundles may carry it.
LICENCES = {"CC0-1.0", "CC-PDDC", "LicenseRef-public-domain"}
LICENCE_TEXTS = {"CC0-1.0": "CC0-1.0.txt", "CC-PDDC": "CC-PDDC.txt"}

LONGEST_SIDE = 480
PICTURE_BYTES = 60 * 1024
FOLDER_BYTES = 3_000_000


def read_lines(name: str) -> list[str]:
    return (MODELS / "labels" / name).read_text(encoding="utf-8").splitlines()


def read_labels(role: str) -> list[dict[str, str]]:
    with (SAMPLES / role / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_provenance() -> list[dict[str, Any]]:
    text = (SAMPLES / "PROVENANCE.toml").read_text(encoding="utf-8")
    return tomlkit.parse(text).unwrap()["picture"]


def list_pictures(role: str) -> list[Path]:
    return sorted(p for p in (SAMPLES / role).iterdir() if p.name != "labels.csv")


def difference_hash(path: Path) -> np.ndarray:
    """Whether each of 16x16 cells is brighter than its left neighbour."""
    with Image.open(path) as picture:
        small = picture.convert("L").resize((17, 16), Image.Resampling.BOX)
    return np.diff(np.asarray(small, np.int16), axis=1) > 0


ALL_PICTURES = [path for role in ROLES for path in list_pictures(role)]
EACH_PICTURE = pytest.mark.parametrize(
    "path", ALL_PICTURES, ids=lambda path: f"{path.parent.name}/{path.name}"
)


@pytest.mark.parametrize("role", ROLES)
def test_role_has_enough_photos_and_drawings(role):
    kinds = [row["content_safety"] for row in read_labels(role)]

    assert len(kinds) >= 20
    assert kinds.count("neutral") >= 10
    assert kinds.count("drawing") >= 5


@pytest.mark.parametrize("role", ROLES)
def test_labels_name_each_picture_once(role):
    listed = [row["file"] for row in read_labels(role)]

    assert listed == [path.name for path in list_pictures(role)]


@pytest.mark.parametrize("role", ROLES)
def test_labels_come_from_the_label_files(role):
    wnids = set(read_lines("imagenet_wnids.txt"))
    rows = read_labels(role)

    assert {tuple(row) for row in rows} == {("file", "imagenet", "content_safety")}
    assert {row["imagenet"] for row in rows} <= wnids | {""}
    # Nothing but harmless pictures is shipped.
    assert {row["content_safety"] for row in rows} == {"neutral", "drawing"}


@pytest.mark.parametrize("role", ROLES)
def test_labels_cover_many_imagenet_classes(role):
    labelled = [row["imagenet"] for row in read_labels(role) if row["imagenet"]]

    assert len(labelled) >= 16
    assert len(set(labelled)) == len(labelled)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("evaluation/panda.jpg", "giant panda"),
        ("evaluation/espresso.jpg", "espresso"),
        ("evaluation/red_panda.jpg", "lesser panda"),
        ("calibration/ring_tailed_lemurs.jpg", "Madagascar cat"),
        ("calibration/cameraman.jpg", "tripod"),
    ],
)
def test_wnid_leads_to_the_name_of_what_is_shown(file, name):
    role, _, base = file.partition("/")
    wnid = next(row["imagenet"] for row in read_labels(role) if row["file"] == base)

    index = read_lines("imagenet_wnids.txt").index(wnid)
    assert read_lines("imagenet.txt")[index] == name


def test_provenance_covers_exactly_the_shipped_pictures():
    listed = [entry["file"] for entry in read_provenance()]

    assert sorted(listed) == sorted(
        path.relative_to(SAMPLES).as_posix() for path in ALL_PICTURES
    )


@pytest.mark.parametrize("entry", read_provenance(), ids=lambda entry: entry["file"])
def test_provenance_entry_is_complete_and_true(entry):
    content = (SAMPLES / entry["file"]).read_bytes()

    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert entry["licence"] in LICENCES
    for field in ("title", "author", "source", "changes"):
        assert entry[field].strip(), field
    assert "package" in entry["source"]
    assert "version" in entry["source"]


def test_licence_texts_are_shipped_for_each_licence_that_has_one():
    used = {entry["licence"] for entry in read_provenance()}
    explained = (SAMPLES / "LICENSES.md").read_text(encoding="utf-8")

    assert all(f"`{licence}`" in explained for licence in used)
    for licence in used & LICENCE_TEXTS.keys():
        text = SAMPLES / "LICENSES" / LICENCE_TEXTS[licence]
        assert len(text.read_text(encoding="utf-8")) > 1000


def test_no_source_file_serves_both_roles():
    origins = {role: set() for role in ROLES}
    for entry in read_provenance():
        role = entry["file"].partition("/")[0]
        origins[role].add(entry["source"])
        origins[role].add(entry.get("origin", entry["source"]))

    assert not origins["calibration"] & origins["evaluation"]


def test_no_picture_looks_like_another():
    hashes = {path: difference_hash(path) for path in ALL_PICTURES}
    close = [
        (one.name, other.name)
        for one, other in product(hashes, hashes)
        if one < other and np.count_nonzero(hashes[one] != hashes[other]) < 40
    ]

    # Unrelated pictures differ in 70 or more of the 256 bits, resized copies in ten.
    assert close == []


def test_difference_hash_recognises_a_resized_and_recompressed_copy(tmp_path):
    original = SAMPLES / "evaluation" / "koala.jpg"
    copy = tmp_path / "copy.jpg"
    with Image.open(original) as picture:
        picture.resize((200, 267)).save(copy, quality=60)

    distance = np.count_nonzero(difference_hash(original) != difference_hash(copy))
    assert distance < 40


@EACH_PICTURE
def test_picture_opens_small_and_without_metadata(path):
    assert path.stat().st_size <= PICTURE_BYTES
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == {".jpg": "JPEG", ".png": "PNG"}[path.suffix]
        assert picture.mode in ("RGB", "L")
        assert max(picture.size) <= LONGEST_SIDE
        assert min(picture.size) >= 150
        assert "icc_profile" not in picture.info
        assert not picture.getexif()


def test_pictures_vary_in_shape_and_colour():
    shapes, modes = set(), set()
    for path in ALL_PICTURES:
        with Image.open(path) as picture:
            shapes.add(int(np.sign(picture.width - picture.height)))
            modes.add(picture.mode)

    assert shapes == {-1, 0, 1}
    assert modes == {"RGB", "L"}


def test_folder_stays_small():
    total = sum(p.stat().st_size for p in SAMPLES.rglob("*") if p.is_file())

    assert total < FOLDER_BYTES


def test_imagenet_names_are_1000_and_differ_even_without_case():
    names = read_lines("imagenet.txt")

    assert len(names) == 1000
    assert len({name.casefold() for name in names}) == 1000
    assert all(name == name.strip() and name.isascii() and name for name in names)


@pytest.mark.parametrize(
    ("index", "wnid", "name"),
    [
        # The published order of ILSVRC 2012, checked at its ends and in ambiguities.
        (0, "n01440764", "tench"),
        (134, "n02012849", "crane (bird)"),
        (264, "n02113186", "Cardigan (dog)"),
        (474, "n02963159", "cardigan (garment)"),
        (517, "n03126707", "crane (machine)"),
        (638, "n03710637", "maillot (tights)"),
        (639, "n03710721", "maillot (swimsuit)"),
        (999, "n15075141", "toilet tissue"),
    ],
)
def test_imagenet_index_has_its_wnid_and_name(index, wnid, name):
    assert read_lines("imagenet_wnids.txt")[index] == wnid
    assert read_lines("imagenet.txt")[index] == name


def test_wnids_are_1000_in_rising_order():
    wnids = read_lines("imagenet_wnids.txt")

    assert len(set(wnids)) == 1000
    assert wnids == sorted(wnids)
    assert all(len(wnid) == 9 and wnid[0] == "n" for wnid in wnids)


def test_content_safety_labels_follow_the_order_of_the_outputs():
    assert read_lines("content_safety.txt") == [
        "drawing",
        "explicit_drawing",
        "neutral",
        "explicit",
        "suggestive",
    ]
