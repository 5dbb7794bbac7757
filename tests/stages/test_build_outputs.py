"""The files of a build and their shapes, which other programs read."""

import hashlib
import json
import tarfile
import zipfile

import pytest

from edgedeploy.resources import resource_folder

CARD = {
    "top1",
    "top1_ci95",
    "top5",
    "top1_drop",
    "top1_drop_ci95",
    "agreement_top1",
    "mean_kl",
    "flipped_count",
    "flipped",
    "images_per_s",
    "delegate",
    "fallback",
}
BENCHMARKED = {
    "size_bytes",
    "deflated_bytes",
    "load_ms",
    "first_invoke_ms",
    "peak_rss_bytes",
    "delegate",
    "fallback",
    "threads",
}
TIMING = {"p50_ms", "p90_ms", "p99_ms", "runs", "speedup_vs_float32"}


def missing_figures(value, path=()):
    """Paths of every null below a JSON value."""
    if value is None:
        return [path]
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return []
    return [
        found
        for key, item in items
        for found in missing_figures(item, (*path, str(key)))
    ]


def without_reason(document):
    """Paths of the nulls that no key of `unmeasured` ends or begins with."""
    return [
        path
        for path in missing_figures(document)
        if path[-1] not in document["unmeasured"]
        and not any(
            key in ".".join(path) and key.endswith(path[-1])
            for key in document["unmeasured"]
        )
    ]


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_variant_is_there_with_its_facts(finished, recipe):
    folder = finished.folder / "variants" / recipe
    model = (folder / "model.tflite").read_bytes()
    facts = json.loads((folder / "variant.json").read_text("utf-8"))
    assert facts["schema"] == 1
    assert facts["recipe"] == recipe
    assert facts["sha256"] == hashlib.sha256(model).hexdigest()
    assert facts["size_bytes"] == len(model)
    assert facts["deflated_bytes"] < len(model)
    assert facts["input"]["shape"] == [1, 32, 32, 3]
    assert facts["output"]["shape"] == [1, 4]
    io_dtype = {"float32": "float32", "int8": "uint8"}[recipe]
    assert facts["input"]["dtype"] == facts["output"]["dtype"] == io_dtype


def test_evaluation_has_its_shape(finished):
    evaluation = finished.read("evaluation.json")
    assert evaluation["schema"] == 1
    assert evaluation["model"] == "tiny"
    dataset = evaluation["dataset"]
    # 48 pictures, of which the split sets the least number, 16, aside.
    assert dataset["name"] == "pictures"
    assert (dataset["images"], dataset["labelled"], dataset["skipped"]) == (32, 32, 0)
    assert len(dataset["sha256"]) == 64
    assert evaluation["pipeline"]["width"] == 32
    assert evaluation["reference"] == "float32"
    assert list(evaluation["variants"]) == ["float32", "int8"]
    for card in evaluation["variants"].values():
        assert set(card) >= CARD
        # The weights were worked out so that every answer is right.
        assert card["top1"] == card["agreement_top1"] == 1.0
        low, high = card["top1_drop_ci95"]
        assert low <= card["top1_drop"] == 0.0 <= high
        assert card["flipped_count"] == len(card["flipped"]) == 0
        assert 0 <= card["mean_kl"] < 0.02
        assert card["images_per_s"] > 0


def test_benchmark_has_its_shape(finished):
    benchmark = finished.read("benchmark.json")
    assert benchmark["schema"] == 1
    (device,) = benchmark["devices"].values()
    assert device["host"]["emulated"] is False
    assert list(device["variants"]) == ["float32", "int8"]
    for entry in device["variants"].values():
        assert set(entry) >= BENCHMARKED
        assert entry["size_bytes"] > entry["deflated_bytes"] > 0
        assert "1" in entry["threads"]
        for timing in entry["threads"].values():
            assert set(timing) >= TIMING
            assert timing["p50_ms"] <= timing["p90_ms"] <= timing["p99_ms"]
            assert set(timing["speedup_vs_float32"]) == {"ratio", "ci95"}


def test_selection_has_its_shape(finished):
    selection = finished.read("selection.json")
    assert selection["schema"] == 1
    assert selection["choice"] == "int8"
    assert selection["gate"] in {"smoke", "point", "interval"}
    assert selection["gate"] != "smoke"
    others = set(finished.read("evaluation.json")["variants"]) - {"float32", "int8"}
    assert set(selection["reasons"]) == others


def test_manifest_names_every_deliverable_by_its_digest(finished):
    manifest = finished.read("manifest.json")
    assert manifest["schema"] == 1
    assert manifest["choice"] == "int8"
    assert set(manifest["recipes"]) == {"float32", "int8"}
    assert {"source", "licence", "pipeline", "calibration", "tools"} <= set(manifest)
    paths = {
        "android/tiny-assets.apk",
        "pi/tiny-pi-3.11-aarch64.tar.gz",
        "pi/tiny-pi-3.11-aarch64.deb",
    }
    assert set(manifest["deliverables"]) == paths
    for path, stamp in manifest["deliverables"].items():
        data = (finished.folder / path).read_bytes()
        assert stamp["sha256"] == hashlib.sha256(data).hexdigest()
        assert stamp["size_bytes"] == len(data)
    tree = finished.folder / "android" / "assets" / "tiny"
    for name, stamp in manifest["files"].items():
        data = (tree / name).read_bytes()
        assert stamp["sha256"] == hashlib.sha256(data).hexdigest()


def test_kotlin_of_the_contract_lies_beside_the_assets(finished):
    sources = sorted((resource_folder("android_assets") / "kotlin").rglob("*.kt"))
    folder = finished.folder / "android" / "kotlin" / "edgedeploy"
    assert {path.name for path in folder.iterdir()} == {path.name for path in sources}
    for path in sources:
        assert (folder / path.name).read_bytes() == path.read_bytes()
        assert path.read_text("utf-8").startswith("package edgedeploy\n")


def test_manifest_holds_nothing_that_was_measured_or_where(finished):
    text = (finished.folder / "manifest.json").read_text("utf-8")
    for word in ("_ms", "images_per_s", "top1", str(finished.root), "mtime"):
        assert word not in text


def test_manifest_lies_inside_each_bundle(finished):
    own = finished.read("manifest.json")
    with zipfile.ZipFile(finished.apk) as archive:
        inside = json.loads(archive.read("assets/tiny/manifest.json"))
    with tarfile.open(finished.bundle()) as archive:
        name = "tiny-pi-3.11-aarch64/manifest.json"
        other = json.loads(archive.extractfile(name).read())
    for manifest in (inside, other):
        for key in ("model", "weights", "source", "pipeline", "choice", "tools"):
            assert manifest[key] == own[key]


def test_measured_holds_what_another_machine_could_measure_otherwise(finished):
    measured = finished.read("measured.json")
    assert measured["schema"] == 1
    assert measured["evaluation"] == finished.read("evaluation.json")
    assert measured["benchmark"] == finished.read("benchmark.json")
    levels = measured["verification"]["levels"]
    assert levels["file"]["passed"] is True
    assert levels["host"]["passed"] is True
    # No phone and no Pi took part, so nothing may be claimed.
    assert levels["device"]["passed"] is None
    kinds = measured["android_sizes"]["kinds"]
    # Everything is in the package, so it cannot be smaller than its largest model.
    largest = max((finished.folder / "variants").rglob("*.tflite"), key=_size)
    assert kinds["apk"]["installed_bytes"] > _size(largest)
    assert kinds["apk"]["download_bytes"] < kinds["apk"]["installed_bytes"]
    assert "best_batch" in measured
    assert "inv benchmark --batch" in measured["unmeasured"]["best_batch"]


def _size(path):
    return path.stat().st_size


@pytest.mark.parametrize("name", ["evaluation.json", "benchmark.json"])
def test_every_missing_figure_has_its_reason(finished, name):
    assert without_reason(finished.read(name)) == []


def test_figure_without_a_reason_would_be_noticed():
    document = {"a": {"top1": None, "top5": None}, "unmeasured": {"a.top5": "few"}}
    assert without_reason(document) == [("a", "top1")]


def test_report_is_one_file_that_needs_no_network(finished):
    text = (finished.folder / "report.html").read_text("utf-8")
    assert text.startswith("<!")
    assert "Tiny colours" in text
    for word in ('src="http', 'href="//', "@import", str(finished.root)):
        assert word not in text


def test_nothing_half_written_is_left(finished):
    left = [
        path
        for folder in (finished.folder, finished.home / "cache")
        for path in folder.rglob("*")
        if path.name.endswith((".partial", ".part", ".tmp"))
        or path.name.startswith((".partial-", ".incoming-", ".record-", ".unpack-"))
    ]
    assert left == []
