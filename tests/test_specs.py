import dataclasses

import pytest

from edgedeploy.errors import InputError
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.specs import FileSource, HttpsSource, Licence, ModelSpec


def spec(**changes) -> ModelSpec:
    values = {
        "name": "tiny",
        "title": "Tiny",
        "weights": "seeded",
        "summary": "two classes",
        "architecture": "inception_v3",
        "layout": "tfjs",
        "source": FileSource(path="weights"),
        "labels": ("cat", "dog"),
        "label_set": "pets",
        "pipeline": ImagePipeline(width=8, height=8),
        "licence": Licence(
            spdx="CC0-1.0", holder="nobody", notice="n", text="t", homepage="h"
        ),
    }
    return ModelSpec(**{**values, **changes})


def https(**changes) -> HttpsSource:
    values = {
        "url": "https://example.org/w.h5",
        "filename": "w.h5",
        "sha256": "ab" * 32,
        "mirror_variable": "MIRROR",
    }
    return HttpsSource(**{**values, **changes})


def test_values_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec().name = "other"


@pytest.mark.parametrize("name", ["a", "inception_v3", "my-model2", "a" * 64])
def test_name_that_is_a_file_name_is_taken(name):
    assert spec(name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "../up", "a/b", ".hidden", "A", "2fast", "a b", "ä", "a\n", "a" * 65]
)
def test_name_that_is_no_file_name_is_refused(name):
    with pytest.raises(InputError, match="a model's name takes a-z, 0-9"):
        spec(name=name)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ((), "needs at least two labels"),
        (("cat",), "needs at least two labels"),
        (("cat", "dog", "cat"), "has the label 'cat' twice"),
        (("cat", "", "dog"), "line 2 of the labels is empty"),
        (("cat", " \t"), "line 2 of the labels is empty"),
        (("a\nb", "cat"), "line 1 of the labels is empty or breaks in two"),
        (("cat", "a\u2028b"), "line 2 of the labels is empty or breaks in two"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused(labels, complaint):
    with pytest.raises(InputError, match=complaint):
        spec(labels=labels)


def test_label_ids_are_as_many_as_the_labels():
    assert spec(label_ids=("n1", "n2")).label_ids == ("n1", "n2")
    with pytest.raises(InputError, match="2 labels but 3 label ids"):
        spec(label_ids=("n1", "n2", "n3"))


@pytest.mark.parametrize("top1", [77.9, 1.0, 0.0, -0.5, 1, "0.5", float("nan")])
def test_published_accuracy_is_a_fraction(top1):
    assert spec(published_top1=0.779).published_top1 == 0.779
    with pytest.raises(InputError, match="published_top1 is a fraction"):
        spec(published_top1=top1)


@pytest.mark.parametrize("digests", [{"sha256": None}, {"sha256": "", "md5": ""}])
def test_address_that_nothing_vouches_for_is_refused(digests):
    with pytest.raises(InputError, match=r"w\.h5 needs an md5 or a sha256"):
        https(**digests)
    assert https(sha256=None, md5="cd" * 16).sha256 is None


@pytest.mark.parametrize("size", [0, -1, "5", 5.0, True])
def test_size_is_a_count_of_bytes(size):
    assert https(size_bytes=5).size_bytes == 5
    with pytest.raises(InputError, match="size_bytes must be a positive integer"):
        https(size_bytes=size)


def test_a_model_that_gives_pictures_has_no_labels():
    made = spec(outputs="picture", labels=(), label_set="")
    assert made.labels == ()
    with pytest.raises(InputError, match="without classes"):
        spec(outputs="picture")
    with pytest.raises(InputError, match="received 'pictures'"):
        spec(outputs="pictures", labels=())
