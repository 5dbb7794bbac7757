import json

import pytest

from edgedeploy.ondevice.bundle import place, read_bundle
from edgedeploy.ondevice.delivered import BundleError, UnknownVariant


def edit(folder, change):
    path = folder / "contract.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_bundle_says_what_was_built(tiny_bundle):
    bundle = read_bundle(tiny_bundle)
    assert (bundle.model, bundle.weights, bundle.default) == ("tiny", "seeded", "int8")
    assert bundle.labels == tuple(f"class {n}" for n in range(7))
    assert set(bundle.variants) == {"float32", "dynamic_int8", "int8"}
    assert bundle.variant().input.dtype == "uint8"
    assert len(bundle.golden) == 4


def test_unknown_variant_names_those_there_are(tiny_bundle):
    with pytest.raises(UnknownVariant, match="int8"):
        read_bundle(tiny_bundle).variant("int4")


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "a\\b", "", "a//b", None, 3, "a\0"]
)
def test_name_that_leaves_the_bundle_is_refused(tmp_path, name):
    with pytest.raises(BundleError):
        place(tmp_path, name)


def test_escaping_model_path_is_refused(tiny_bundle):
    edit(tiny_bundle, lambda d: d["variants"]["int8"].update(file="../../model"))
    with pytest.raises(BundleError, match="inside"):
        read_bundle(tiny_bundle)


KEYS = ("schema", "model", "pipeline", "labels", "classes", "default", "variants")
WRONG = (None, [], {}, -1, float("nan"))


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key in KEYS for value in WRONG]
    + [("golden", None), ("golden", -1), ("golden", [{}]), ("golden", ["x"])],
)
def test_wrong_value_is_a_bundle_error(tiny_bundle, key, value):
    edit(tiny_bundle, lambda d: d.update({key: value}))
    with pytest.raises(BundleError):
        read_bundle(tiny_bundle)


@pytest.mark.parametrize("key", KEYS)
def test_missing_key_is_named(tiny_bundle, key):
    edit(tiny_bundle, lambda d: d.pop(key))
    with pytest.raises(BundleError, match=key):
        read_bundle(tiny_bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_malformed_document_is_a_bundle_error(tiny_bundle, content):
    (tiny_bundle / "contract.json").write_bytes(content)
    with pytest.raises(BundleError):
        read_bundle(tiny_bundle)


def test_labels_that_do_not_fit_are_refused(tiny_bundle):
    with (tiny_bundle / "labels.txt").open("a") as file:
        file.write("one more\n")
    with pytest.raises(BundleError, match=r"7 classes.*8"):
        read_bundle(tiny_bundle)
