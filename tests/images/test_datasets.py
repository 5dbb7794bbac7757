import hashlib
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from edgedeploy.errors import InputError
from edgedeploy.images.datasets import (
    Dataset,
    Picture,
    dataset_digest,
    read_dataset,
    split_calibration,
)

LABELS = ("tench", "great white shark", "hen")
IDS = ("n01440764", "n01484850", "n01514859")


def lay(folder: Path, *names: str) -> Path:
    """Make files; what is in them does not matter for finding them."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def table(folder: Path, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "labels.csv").write_bytes(data)


def found(folder: Path, **options) -> dict[str, int | None]:
    dataset = read_dataset(folder, LABELS, IDS, **options)
    return {picture.name: picture.label for picture in dataset.pictures}


# A folder per class


def test_folders_are_classes_by_label_by_underscores_and_by_id(tmp_path):
    lay(tmp_path, "tench/b.jpg", "great_white_shark/a.JPEG", "n01514859/c.png")
    lay(tmp_path, "great white shark/z.webp")
    dataset = read_dataset(tmp_path, LABELS, IDS)
    assert [(picture.name, picture.label) for picture in dataset.pictures] == [
        ("great white shark/z.webp", 1),
        ("great_white_shark/a.JPEG", 1),
        ("n01514859/c.png", 2),
        ("tench/b.jpg", 0),
    ]
    assert dataset.name == tmp_path.name
    assert dataset.labelled == 4
    assert all(picture.path.is_file() for picture in dataset.pictures)


def test_class_is_the_outermost_folder(tmp_path):
    assert found(lay(tmp_path, "hen/tench/deep/x.jpg")) == {"hen/tench/deep/x.jpg": 2}


def test_some_folders_that_are_no_classes_are_a_mistake(tmp_path):
    lay(tmp_path, "hen/a.jpg", "tensh/b.jpg", "more/c.jpg")
    with pytest.raises(InputError, match=r"2 folders are no labels .* such as 'more'"):
        found(tmp_path)


def test_folders_that_are_all_no_classes_are_pictures_without_labels(tmp_path):
    lay(tmp_path, "holiday/a.jpg", "party/b.jpg", "c.jpg")
    assert set(found(tmp_path).values()) == {None}


def test_exact_label_wins_over_one_with_a_space():
    labels = ("night snake", "night_snake")
    for order in (labels, labels[::-1]):
        index = {name: number for number, name in enumerate(order)}
        assert found_label("night_snake", order) == index["night_snake"]
        assert found_label("night snake", order) == index["night snake"]


def test_name_that_two_labels_share_means_neither():
    assert found_label("a_b_c", ("a b_c", "a_b c")) is None


def found_label(name: str, labels) -> int | None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = read_dataset(lay(Path(folder), f"{name}/x.jpg"), labels)
    return dataset.pictures[0].label


# Flat folders


def test_files_begin_with_an_id(tmp_path):
    lay(tmp_path, "n01440764_tench.JPEG", "n01514859_2.jpg", "n999_what.jpg", "x.jpg")
    assert found(tmp_path) == {
        "n01440764_tench.JPEG": 0,
        "n01514859_2.jpg": 2,
        "n999_what.jpg": None,
        "x.jpg": None,
    }


def test_file_that_only_begins_with_a_word_has_no_label(tmp_path):
    # A photo of a hen house is no photo of a hen.
    assert found(lay(tmp_path, "hen_house.jpg")) == {"hen_house.jpg": None}


def test_table_gives_labels_and_leaves_the_others_without(tmp_path):
    lay(tmp_path, "a.jpg", "sub/b.jpg", "c.jpg", "d.jpg")
    table(tmp_path, "file,label\na.jpg,hen\nsub/b.jpg,n01440764\nc.jpg,\n")
    assert found(tmp_path) == {
        "a.jpg": 2,
        "c.jpg": None,
        "d.jpg": None,
        "sub/b.jpg": 0,
    }


def test_table_of_a_spreadsheet_is_read(tmp_path):
    lay(tmp_path, "a.jpg", "b, c.jpg", "käfer.jpg")
    rows = 'file,label,note\r\n a.jpg , hen ,x\r\n\r\n"b, c.jpg",tench,"two\r\nlines"'
    table(tmp_path, b"\xef\xbb\xbf" + (rows + "\r\nkäfer.jpg,hen,\r\n").encode())
    assert found(tmp_path) == {"a.jpg": 2, "b, c.jpg": 0, "käfer.jpg": 2}


def test_column_of_the_label_set_is_preferred(tmp_path):
    lay(tmp_path, "a.jpg")
    table(tmp_path, "file,label,imagenet\na.jpg,hen,tench\n")
    assert found(tmp_path) == {"a.jpg": 2}
    assert found(tmp_path, column="imagenet") == {"a.jpg": 0}
    assert found(tmp_path, column="elsewhere") == {"a.jpg": 2}


def test_table_comes_before_folders(tmp_path):
    lay(tmp_path, "hen/a.jpg")
    table(tmp_path, "file,label\nhen/a.jpg,tench\n")
    assert found(tmp_path) == {"hen/a.jpg": 0}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("file,label\na.jpg,cat\n", r"labels\.csv:2: 'cat' is not a label"),
        ("file,label\nb.jpg,hen\n", r"labels\.csv:2: lists 'b\.jpg', which is no"),
        ("file,label\n\n\nb.jpg,hen\n", r"labels\.csv:4: lists 'b\.jpg'"),
        ("file,label\n,hen\n", r"labels\.csv:2: lists '', which"),
        ("file,label\n../a.jpg,hen\n", r"lists '\.\./a\.jpg', which is no"),
        ("file,label\na.txt,hen\n", r"lists 'a\.txt', which is no"),
        ("file,label\na.jpg,hen\na.jpg,tench\n", "a second, other label, 'tench'"),
        ("file,label\na.jpg,hen\na.jpg,\n", "a second, other label, ''"),
        ("file,class\na.jpg,hen\n", "needs the columns file and label; found class"),
        ("file;label\na.jpg;hen\n", "found file;label"),
        ("name\n", "found name"),
        ("", "needs the columns file and label; found none"),
        ("a.jpg,hen\n", "needs the columns file and label; found a.jpg, hen"),
        (b"file,label\n\xff.jpg,hen\n", "not a UTF-8 CSV file"),
        (b"file,label\n\x00\xff", "not a UTF-8 CSV file"),
        ("file,label\na.jpg," + "x" * 200_000 + "\n", "not a UTF-8 CSV file"),
    ],
)
def test_wrong_table_is_one_error(tmp_path, content, complaint):
    lay(tmp_path, "a.jpg", "a.txt")
    table(tmp_path, content)
    with pytest.raises(InputError, match=complaint) as caught:
        found(tmp_path)
    assert "labels.csv" in str(caught.value)


def test_row_that_is_there_twice_is_taken_once(tmp_path):
    lay(tmp_path, "a.jpg")
    table(tmp_path, "file,label\na.jpg,hen\na.jpg,hen\n")
    assert found(tmp_path) == {"a.jpg": 2}


def test_table_without_rows_leaves_all_without_labels(tmp_path):
    lay(tmp_path, "a.jpg")
    table(tmp_path, "file,label\n")
    assert found(tmp_path) == {"a.jpg": None}


# What lies about in folders


def test_hidden_files_and_folders_are_not_there(tmp_path):
    lay(tmp_path, "a.jpg", ".DS_Store", "._a.jpg", ".cache/b.jpg")
    dataset = read_dataset(tmp_path, LABELS)
    assert [picture.name for picture in dataset.pictures] == ["a.jpg"]
    assert dataset.ignored == ()


def test_data_set_in_a_hidden_folder_is_read(tmp_path):
    assert found(lay(tmp_path / ".hidden", "a.jpg")) == {"a.jpg": None}


def test_other_files_are_named_as_ignored(tmp_path):
    lay(tmp_path, "a.jpg", "notes.txt", "sub/b.heic", "noext")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    dataset = read_dataset(tmp_path, LABELS)
    assert [picture.name for picture in dataset.pictures] == ["a.jpg"]
    assert dataset.ignored == (
        "gone.jpg",
        "noext",
        "notes.txt",
        "pipe.jpg",
        "sub/b.heic",
    )


def test_linked_class_folders_are_followed(tmp_path):
    lay(tmp_path / "elsewhere", "a.jpg")
    folder = lay(tmp_path / "set", "hen/b.jpg")
    (folder / "tench").symlink_to(tmp_path / "elsewhere")
    (folder / "great_white_shark").symlink_to(tmp_path / "elsewhere")
    assert found(folder) == {
        "great_white_shark/a.jpg": 1,
        "hen/b.jpg": 2,
        "tench/a.jpg": 0,
    }


def test_links_in_a_circle_end(tmp_path):
    lay(tmp_path, "hen/a.jpg", "hen/deep/b.jpg")
    (tmp_path / "hen" / "up").symlink_to(tmp_path)
    (tmp_path / "hen" / "deep" / "self").symlink_to(".")
    (tmp_path / "x.jpg").symlink_to("x.jpg")
    assert {"hen/a.jpg", "hen/deep/b.jpg"} == set(found(tmp_path))


def test_very_deep_folders_are_found(tmp_path):
    # Deeper than Python's recursion goes, which is why coreutils make and remove it.
    name = "d/" * 1200 + "a.jpg"
    subprocess.run(["mkdir", "-p", (tmp_path / name).parent], check=True)
    (tmp_path / name).write_bytes(b"")
    try:
        assert list(found(tmp_path)) == [name]
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


def test_names_that_are_not_utf8_are_refused_by_count(tmp_path):
    lay(tmp_path, "a.jpg")
    for name in (b"caf\xe9.jpg", b"\xff.jpg"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"")
    with pytest.raises(InputError, match="2 file names are not UTF-8") as caught:
        found(tmp_path)
    # It can be printed anywhere.
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ((), "holds no pictures .* found 0 other files"),
        (("a.txt", "b.heic"), "holds no pictures .* found 2 other files"),
    ],
)
def test_folder_without_pictures_is_an_error(tmp_path, names, complaint):
    with pytest.raises(InputError, match=complaint):
        found(lay(tmp_path, *names))


def test_missing_folder_and_file_are_errors(tmp_path):
    lay(tmp_path, "a.jpg")
    with pytest.raises(InputError, match="nowhere: no such folder of pictures"):
        found(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"a\.jpg: is no folder of pictures"):
        found(tmp_path / "a.jpg")


# The split


def pictures(count: int, prefix: str = "p") -> tuple[Dataset, list[str]]:
    """Pictures whose content is their number, and its SHA-256."""
    names = [f"{prefix}{n:03}.jpg" for n in range(count)]
    digests = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]
    found = tuple(Picture(name=name, path=Path(name), label=0) for name in names)
    return Dataset(name="set", pictures=found), digests


@pytest.mark.parametrize(("count", "aside"), [(32, 16), (128, 16), (200, 25)])
def test_eighth_but_at_least_16_is_set_aside(count, aside):
    dataset, digests = pictures(count)
    calibration, evaluation = split_calibration(dataset, digests)
    assert len(calibration.pictures) == aside
    assert len(evaluation.pictures) == count - aside
    assert set(calibration.pictures) | set(evaluation.pictures) == set(dataset.pictures)
    assert calibration.name == "set (split)"


def test_split_depends_on_contents_alone():
    dataset, digests = pictures(64)
    chosen = split_calibration(dataset, digests)[0].pictures
    expected = {digests[int(p.name[1:4])] for p in chosen}
    assert expected == set(sorted(digests)[:16])
    # Other names and another order: the same contents.
    other, _ = pictures(64, prefix="renamed")
    turned = replace(other, pictures=other.pictures[::-1])
    again = split_calibration(turned, digests[::-1])[0].pictures
    assert {digests[int(p.name[7:10])] for p in again} == expected


def test_equal_pictures_stay_together():
    dataset, digests = pictures(64)
    copies, _ = pictures(64, prefix="copy")
    doubled = replace(dataset, pictures=dataset.pictures + copies.pictures)
    calibration, evaluation = split_calibration(doubled, digests * 2)
    numbers = [
        {picture.name[-7:-4] for picture in part.pictures}
        for part in (calibration, evaluation)
    ]
    assert not numbers[0] & numbers[1]
    assert len(calibration.pictures) == 32


def test_too_few_distinct_pictures_are_an_error():
    dataset, digests = pictures(31)
    copies, _ = pictures(31, prefix="copy")
    doubled = replace(dataset, pictures=dataset.pictures + copies.pictures)
    with pytest.raises(InputError, match="31 distinct pictures are too few to set 16"):
        split_calibration(doubled, digests * 2)


def test_digest_is_that_of_names_contents_and_labels():
    dataset = Dataset(
        name="set",
        pictures=(
            Picture(name="a.jpg", path=Path("a.jpg"), label=3),
            Picture(name="b.jpg", path=Path("b.jpg"), label=None),
        ),
    )
    expected = hashlib.sha256(b"a.jpg\0aa\x003\nb.jpg\0bb\0None\n").hexdigest()
    assert dataset_digest(dataset, ["aa", "bb"]) == expected
    renamed = replace(dataset, name="other")
    assert dataset_digest(renamed, ["aa", "bb"]) == expected
    assert dataset_digest(dataset, ["bb", "aa"]) != expected
