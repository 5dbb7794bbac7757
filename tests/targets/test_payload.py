import hashlib
import io
import json

import numpy as np
import pytest
import tiny_models as tiny
from PIL import Image

from edgedeploy.catalog import model_names, model_specs
from edgedeploy.errors import InputError, PackageError
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.targets.content import write_json
from edgedeploy.targets.golden import (
    answer_pictures,
    describe_answer,
    describe_tensor,
    make_golden_pictures,
)
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


def test_golden_pictures_are_small_plain_and_of_different_shapes(pictures):
    encoded = make_golden_pictures(pictures)
    assert encoded == make_golden_pictures(pictures)
    images = [Image.open(io.BytesIO(png)) for png in encoded]
    assert [(i.size, i.mode) for i in images] == [
        ((320, 213), "RGB"),
        ((180, 320), "RGB"),
        ((97, 83), "RGB"),
        ((320, 256), "RGBA"),
    ]
    for image in images:
        assert image.format == "PNG"
        assert not image.info
        assert not image.getexif()


def test_transparent_picture_depends_on_the_background(pictures):
    png = make_golden_pictures(pictures)[3]
    white, black = (
        prepare(png, ImagePipeline(width=32, height=32, alpha_over=(v, v, v)))
        for v in (255, 0)
    )
    # Opaque at the left, clear at the right, so only the right shows the background.
    assert white[:, -1].mean() > 200
    assert black[:, -1].mean() < 50
    # The crop begins a tenth into the ramp.
    assert abs(white[:, 0].astype(int) - black[:, 0]).max() < 45


def test_tensor_description_by_hand():
    rgb = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    pipeline = ImagePipeline(width=2, height=2, mean=(1.0, 1.0, 1.0), std=(2.0,) * 3)
    described = describe_tensor(rgb, pipeline)
    assert described["tensor_samples"] == [[n, (n - 1) / 2] for n in range(12)]
    assert described["tensor_mean"] == 2.25
    assert described["rgb_sha256"] == hashlib.sha256(bytes(range(12))).hexdigest()


def test_answer_lists_the_best_sixteen_of_many_classes():
    scores = np.linspace(0, 1, 100, dtype=np.float32)
    answer = describe_answer(scores, None)
    assert [index for index, _ in answer["output"]] == list(range(99, 83, -1))
    assert answer["top_k"] == answer["output"][:5]
    assert answer["raw_sha256"] is None


def test_child_answers_as_the_parent_would(tiny_models, pictures):
    import base64

    png = make_golden_pictures(pictures)[0]
    pipeline = tiny.tiny_spec().pipeline
    done = []
    reply = answer_pictures(
        str(tiny_models["int8"]),
        pipeline.to_dict(),
        [base64.b64encode(png).decode()],
        True,
        lambda *progress: done.append(progress),
    )
    assert reply["delegate"] == "XNNPACK"
    assert done == [(1, 2), (2, 2)]
    for answers in (reply["answers"], reply["plain"]):
        scores = dict(answers[0]["output"])
        # Softmax in 256ths adds up to one, but for the rounding of each of 7 classes.
        assert sum(scores.values()) == pytest.approx(1, abs=7 / 512)


def test_least_certain_picture_of_each_shape_is_taken(tiny_models, tmp_path):
    from edgedeploy.ondevice.runtime import Model
    from edgedeploy.targets.golden import golden_vectors

    rng = np.random.default_rng(4)
    paths = []
    for number in range(8):
        values = rng.integers(0, 256, (6, 6, 3), np.uint8)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(values).resize((330, 330)).save(paths[-1])
    pipeline = tiny.tiny_spec().pipeline
    model = Model(tiny_models["float32"])
    sure = [
        model.scores(prepare(png, pipeline)[None], pipeline)[0].max()
        for png in make_golden_pictures(paths)
    ]
    golden = golden_vectors(
        pipeline, [tiny.Converted("float32", tiny_models["float32"])], paths
    )
    # Pictures n and n + 4 compete for shape n.
    assert golden.sources == tuple(
        paths[n] if sure[n] <= sure[n + 4] else paths[n + 4] for n in range(4)
    )
    scores = [e["expected"]["float32"]["top_k"][0][1] for e in golden.entries]
    assert scores == [min(sure[n], sure[n + 4]) for n in range(4)]


def test_pictures_are_needed_and_have_to_be_pictures(tmp_path):
    with pytest.raises(InputError, match="at least one"):
        make_golden_pictures([])
    (tmp_path / "x.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"x\.png"):
        make_golden_pictures([tmp_path / "x.png"])


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
