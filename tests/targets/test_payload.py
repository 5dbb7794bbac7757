import hashlib
import json

import pytest
import tiny_models as tiny

from edgedeploy.catalog import model_names, model_specs
from edgedeploy.errors import PackageError
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.targets.content import write_json
from edgedeploy.targets.notices import Component, licence_files
from edgedeploy.targets.payload import (
    build_payload,
    extend_payload,
    sample_pictures,
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return tiny.draw_pictures(tmp_path_factory.mktemp("pictures"))


def content(payload, name):
    source = payload.files[name]
    return source if isinstance(source, bytes) else source.read_bytes()


def test_payload_has_what_the_design_lists(tiny_payload):
    assert list(tiny_payload.files) == [
        "LICENSES/NOTICE.txt",
        "LICENSES/edgedeploy.txt",
        "LICENSES/weights.txt",
        "contract.json",
        "golden/1.png",
        "golden/2.png",
        "golden/3.png",
        "golden/4.png",
        "labels.txt",
        "manifest.json",
        "models/dynamic_int8.tflite",
        "models/float32.tflite",
        "models/int8.tflite",
        "sbom.cdx.json",
    ]


def test_manifest_has_the_digest_of_every_other_file(tiny_payload):
    manifest = json.loads(content(tiny_payload, "manifest.json"))
    assert manifest["schema"] == 1
    assert manifest["edgedeploy"] == "test"
    found = {
        name: {
            "sha256": hashlib.sha256(content(tiny_payload, name)).hexdigest(),
            "size_bytes": len(content(tiny_payload, name)),
        }
        for name in tiny_payload.files
        if name != "manifest.json"
    }
    assert manifest["files"] == found


def test_same_inputs_give_the_same_bytes(tiny_models, tiny_payload, pictures):
    again = tiny.build_tiny_payload(tiny_models, pictures=pictures)
    for name in tiny_payload.files:
        assert content(again, name) == content(tiny_payload, name), name


def test_contract_document_has_the_agreed_shape(tiny_payload):
    document = json.loads(content(tiny_payload, "contract.json"))
    assert document["schema"] == 1
    assert document["classes"] == 7
    assert {v["batch"] for v in document["variants"].values()} == {1}
    assert document["labels"] == "labels.txt"
    int8 = document["variants"]["int8"]
    assert int8["file"] == "models/int8.tflite"
    assert int8["tolerance"] == 0.0
    assert int8["input"]["dtype"] == int8["output"]["dtype"] == "uint8"
    assert int8["output"]["shape"] == [1, 7]
    entry = document["golden"][3]
    assert entry["file"] == "golden/4.png"
    assert len(entry["tensor_samples"]) == 32
    assert len(entry["expected"]["int8"]["top_k"]) == 5
    assert len(entry["expected"]["int8"]["output"]) == 7


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"labels": ("a", "b")}, "7 outputs but 2 labels"),
        ({"pipeline": ImagePipeline(width=31, height=32)}, "shape"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tiny_models, pictures, changes, complaint):
    variants = [tiny.Converted("int8", tiny_models["int8"])]
    with pytest.raises(PackageError, match=complaint):
        build_payload(
            tiny.tiny_spec(**changes),
            variants,
            default="int8",
            facts={},
            pictures=pictures,
        )


def test_wrong_variants_are_refused(tiny_models, pictures, tmp_path):
    spec = tiny.tiny_spec()
    int8 = tiny.Converted("int8", tiny_models["int8"])

    def build(variants, default="int8", facts=None):
        build_payload(
            spec, variants, default=default, facts=facts or {}, pictures=pictures
        )

    for variants, default in (([], "int8"), ([int8], "float32"), ([int8] * 2, "int8")):
        with pytest.raises(PackageError):
            build(variants, default)
    with pytest.raises(PackageError, match="files"):
        build([int8], facts={"files": {}})
    changed = tmp_path / "model.tflite"
    changed.write_bytes(tiny_models["int8"].read_bytes())
    variant = tiny.Converted("int8", changed)
    changed.write_bytes(b"TFL3")
    with pytest.raises(PackageError, match="convert again"):
        build([variant])
    with pytest.raises(PackageError, match="not a model"):
        build([tiny.Converted("int8", changed)])


def test_extension_brings_manifest_and_bill_up_to_date(tiny_payload):
    more = Component(kind="library", name="l", version="1", licence="MIT", sha256="00")
    full = extend_payload(
        tiny_payload, files={"x": b"y"}, components=[more], facts={"target": 1}
    )
    manifest = json.loads(content(full, "manifest.json"))
    bill = json.loads(content(full, "sbom.cdx.json"))
    assert manifest["target"] == 1
    assert manifest["files"]["x"]["sha256"] == hashlib.sha256(b"y").hexdigest()
    digest = hashlib.sha256(content(full, "sbom.cdx.json")).hexdigest()
    assert manifest["files"]["sbom.cdx.json"]["sha256"] == digest
    names = [component["name"] for component in bill["components"]]
    assert names == ["tiny-float32", "tiny-dynamic_int8", "tiny-int8", "l"]
    with pytest.raises(PackageError, match="already"):
        extend_payload(tiny_payload, files={"labels.txt": b""}, components=[], facts={})


def test_bill_of_materials_is_cyclonedx_without_time_or_serial(tiny_payload):
    bill = json.loads(content(tiny_payload, "sbom.cdx.json"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert "serialNumber" not in bill
    assert "timestamp" not in bill["metadata"]
    parts = [bill["metadata"]["component"], *bill["components"]]
    references = [part["bom-ref"] for part in parts]
    assert len(set(references)) == len(references)
    for part in parts:
        # Required by the CycloneDX 1.5 schema, and an id of its enumeration.
        assert part["name"]
        assert part["type"] in {"machine-learning-model", "library", "application"}
        assert part["licenses"] == [{"expression": "CC0-1.0"}]


def test_notice_credits_the_shipped_pictures(tiny_models):
    files = licence_files(tiny.tiny_spec(), sample_pictures())
    notice = files["LICENSES/NOTICE.txt"].decode()
    assert "Seeded weights." in notice
    assert notice.count("licence: ") == len(sample_pictures())
    assert "supplied by" not in notice
    assert b"Apache License" in files["LICENSES/edgedeploy.txt"]


def test_pictures_of_unknown_origin_are_said_to_be_the_builders(pictures):
    notice = licence_files(tiny.tiny_spec(), pictures)["LICENSES/NOTICE.txt"].decode()
    assert notice.count("supplied by whoever built this bundle") == 3


def test_json_refuses_what_json_cannot_say():
    assert write_json({"b": 1, "a": "ü"}) == b'{\n "a": "\\u00fc",\n "b": 1\n}\n'
    for value in (float("nan"), {1, 2}):
        with pytest.raises(PackageError):
            write_json({"x": value})


@pytest.mark.parametrize("name", model_names())
def test_every_models_handle_and_labels_can_be_packaged(name):
    from edgedeploy.targets.contract_document import _labels
    from edgedeploy.targets.raspberry_pi.bundle import _HANDLE

    for spec in model_specs(name):
        assert _HANDLE.fullmatch(spec.name)
        assert _labels(spec.labels).count(b"\n") == len(spec.labels)
