import pytest

from edgedeploy.adopt.classes import fit_labels, labels_of_folders
from edgedeploy.errors import InputError

THOUSAND = tuple(f"class number {number}" for number in range(1000))


@pytest.fixture
def told():
    return []


def fit(labels, outputs, told):
    return fit_labels(labels, outputs, source="labels.txt", tell=told.append)


def test_labels_that_fit_stay_in_silence(told):
    assert fit(("a", "b", "c"), 3, told) == ("a", "b", "c")
    assert told == []


def test_1001_outputs_get_a_background_before_imagenets_labels(told):
    assert fit(THOUSAND, 1001, told) == ("background", *THOUSAND)
    (line,) = told
    assert "1000 labels for 1001 outputs" in line
    assert "background" in line


@pytest.mark.parametrize("name", ["background", "Background", "???", "dummy"])
def test_background_goes_where_the_network_has_none(name, told):
    assert fit((name, *THOUSAND), 1000, told) == THOUSAND
    (line,) = told
    assert "1001 labels for 1000 outputs" in line


def test_first_label_that_is_a_class_is_never_left_out(told):
    with pytest.raises(InputError, match="1001 labels, but the network has 1000"):
        fit((*THOUSAND, "one more"), 1000, told)


def test_background_is_guessed_for_imagenet_alone(told):
    with pytest.raises(InputError, match="3 labels, but the network has 4 outputs"):
        fit(("a", "b", "c"), 4, told)


def test_equal_labels_are_told_apart_aloud(told):
    found = fit(("crane", "maillot", "crane", "maillot"), 4, told)
    assert found == ("crane", "maillot", "crane (2)", "maillot (2)")
    (line,) = told
    assert "'crane (2)' (line 3), 'maillot (2)' (line 4)" in line


def test_folders_name_classes_where_they_are_as_many(tmp_path):
    for name in ("dog", "cat", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "readme.txt").touch()
    assert labels_of_folders(tmp_path, 2) == ("cat", "dog")
    assert labels_of_folders(tmp_path, 3) == ()
    assert labels_of_folders(tmp_path / "gone", 2) == ()
