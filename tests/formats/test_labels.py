import pytest

from edgedeploy.errors import InputError
from edgedeploy.formats.labels import (
    disambiguate,
    format_labels,
    parse_labels,
    read_labels,
)


@pytest.mark.parametrize(
    "data",
    [
        b"cat\nd\xc3\xb6g\n",
        b"\xef\xbb\xbfcat\nd\xc3\xb6g",
        b"cat\r\nd\xc3\xb6g\r\n\r\n\n",
        b" cat\t\n d\xc3\xb6g",
    ],
)
def test_spellings_of_one_file_give_the_same_labels(tmp_path, data):
    path = tmp_path / "labels.txt"
    path.write_bytes(data)
    assert read_labels(path) == ("cat", "dög")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no labels"),
        (b"\n\r\n", "no labels"),
        (b"a\n\nb\n", "line 2: blank"),
        (b"a\nb\xff\n", "line 2: byte 0xff"),
        (b"a\nb\0c\n", "line 2"),
        ("a\nb".encode("utf-16"), "line 1"),
    ],
)
def test_bad_label_files_name_the_line(data, message):
    with pytest.raises(InputError, match=message):
        parse_labels(data, "labels.txt")


def test_missing_and_huge_files_are_the_users_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path)
    huge = tmp_path / "huge"
    huge.write_bytes(b"a\n" * (9 << 20))
    with pytest.raises(InputError, match="16 MiB"):
        read_labels(huge)


def test_duplicates_are_numbered_in_order():
    assert disambiguate(["crane", "dog", "crane", "crane"]) == (
        "crane",
        "dog",
        "crane (2)",
        "crane (3)",
    )


def test_numbering_passes_over_labels_that_exist():
    assert disambiguate(["crane", "crane", "crane (2)"]) == (
        "crane",
        "crane (3)",
        "crane (2)",
    )
    assert disambiguate(disambiguate(["a", "a"])) == ("a", "a (2)")


def test_unicode_line_separators_stay_inside_a_label():
    assert parse_labels("a\u2028b\nc".encode(), "x") == ("a\u2028b", "c")


def test_written_labels_read_back():
    assert format_labels(("a", "dög")) == b"a\nd\xc3\xb6g\n"
    assert parse_labels(format_labels(("a", "dög")), "x") == ("a", "dög")


@pytest.mark.parametrize("labels", [(" a",), ("a\nb",), ("",), (), ("\ud800",)])
def test_labels_that_would_not_read_back_are_refused(labels):
    with pytest.raises(InputError):
        format_labels(labels)
