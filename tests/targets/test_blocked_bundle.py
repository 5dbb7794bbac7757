"""Steps for blocks of weights, which are right under XNNPACK alone."""

import functools
import json

import pytest
import tiny_models as tiny
from blocked_models import give_blocks
from empty_wheels import make_wheelhouse
from hand_made_payloads import make_request

from edgedeploy.devices.ssh.parcel import open_parcel
from edgedeploy.errors import EvaluationError, PackageError
from edgedeploy.evaluate.attribution import attribute_error
from edgedeploy.ondevice.classifier import Classifier
from edgedeploy.ondevice.installed import runtime_version
from edgedeploy.ondevice.latency import measure
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.selftest import run_selftest
from edgedeploy.ondevice.tensors import NeedsXnnpack
from edgedeploy.targets.android.aar import write_maven_repository
from edgedeploy.targets.android.app import write_app
from edgedeploy.targets.android.runtime_limits import RELEASE, describe_newer
from edgedeploy.targets.android.update import check_update, render_update, write_update
from edgedeploy.targets.android.update_manifest import parse_update
from edgedeploy.targets.android.versions import pinned_version
from edgedeploy.targets.raspberry_pi.bundle import write_bundle
from edgedeploy.targets.raspberry_pi.check import check_bundle
from edgedeploy.targets.raspberry_pi.runtime_limits import check_models
from edgedeploy.targets.raspberry_pi.systems import system_for

# The @ has to pass through every list of files.
RECIPE = "int4_mixed@0.003"
WITHOUT = functools.partial(Model, xnnpack=False)


@pytest.fixture(scope="module")
def blocked(tiny_models, tmp_path_factory):
    """A model of one such layer, in a file."""
    path = tmp_path_factory.mktemp("blocked") / "model.tflite"
    path.write_bytes(give_blocks(tiny_models["float32"].read_bytes()))
    return path


@pytest.fixture(scope="module")
def payload(tiny_models, blocked):
    models = {"float32": tiny_models["float32"], RECIPE: blocked}
    return tiny.build_tiny_payload(models, default=RECIPE)


@pytest.fixture
def bundle(payload, tmp_path):
    return tiny.unpack(payload, tmp_path / "bundle")


@pytest.mark.parametrize("name", ["litert", "tensorflow"])
def test_each_runtime_refuses_it_without_xnnpack(blocked, name):
    if runtime_version(name) is None:
        pytest.skip(f"runtime {name} is missing; install edgedeploy anew")
    assert "FULLY_CONNECTED" not in Model(blocked, runtime=name).fallback
    with pytest.raises(NeedsXnnpack, match="only XNNPACK computes rightly"):
        Model(blocked, runtime=name, xnnpack=False)


def test_a_recipe_with_a_budget_is_delivered_under_its_name(payload, tmp_path):
    archive = tmp_path / "tiny-pi-3.11-aarch64.tar.gz"
    write_bundle(
        archive,
        payload=payload,
        wheelhouse=make_wheelhouse(tmp_path),
        python="3.11",
        arch="aarch64",
    )
    checked = check_bundle(archive)
    assert checked.passed, checked.problems
    parcel = open_parcel(archive, tmp_path / "opened")
    name = f"models/{RECIPE}.tflite"
    assert name in {file.name for file in parcel.files}
    request = make_request(payload)
    write_update(tmp_path, request)
    checks = check_update(tmp_path / f"{request.name}-update.zip")
    assert all(check.passed for check in checks), checks
    signed = parse_update(render_update(payload, 1, 0))
    assert name in {file.name for file in signed.files}


def test_golden_vectors_promise_no_answers_without_xnnpack(bundle):
    document = json.loads((bundle / "contract.json").read_text())
    for vector in document["golden"]:
        assert set(vector["expected"]) == {"float32", RECIPE}
        assert set(vector["expected_without_delegate"]) == {"float32"}


def test_bundle_passes_where_xnnpack_runs_it(bundle):
    report = run_selftest(bundle)
    assert report["passed"], report["checks"]
    assert report["delegates"][RECIPE] == "XNNPACK"


def test_self_test_without_xnnpack_fails_at_the_model_with_the_way_out(
    bundle, monkeypatch
):
    monkeypatch.setattr("edgedeploy.ondevice.selftest.Model", WITHOUT)
    report = run_selftest(bundle)
    assert not report["passed"]
    failed = {c["name"]: c["detail"] for c in report["checks"] if not c["passed"]}
    assert list(failed) == [f"{RECIPE} model"]
    assert "Leave XNNPACK on, or take a variant without" in failed[f"{RECIPE} model"]
    assert run_selftest(bundle, recipes=["float32"])["passed"]


def test_bundles_classifier_refuses_to_start_without_xnnpack(bundle, monkeypatch):
    monkeypatch.setattr("edgedeploy.ondevice.classifier.Model", WITHOUT)
    with pytest.raises(NeedsXnnpack):
        Classifier(bundle)
    Classifier(bundle, "float32")


def test_attribution_which_works_without_xnnpack_refuses_it(tiny_models, blocked):
    with pytest.raises(EvaluationError, match="tensors cannot be kept"):
        attribute_error(
            tiny_models["float32"],
            blocked,
            tiny.draw_pictures(blocked.parent),
            pipeline=tiny.tiny_spec().pipeline,
            runtime="litert",
            what="attributing",
        )


def test_benchmark_names_what_xnnpack_left(tiny_models, blocked):
    models = {RECIPE: blocked, "int8": tiny_models["int8"]}
    found = measure(models, min_rounds=1, seconds_budget=0.1)["variants"]
    assert found[RECIPE]["fallback"] == {}
    # It has the first and the last for float32 alone, and no change of the sign.
    left = {"AVERAGE_POOL_2D": 1, "QUANTIZE": 2, "SOFTMAX": 1}
    assert found["int8"]["fallback"] == left


def test_app_and_aar_refuse_what_their_litert_cannot_load(payload, tmp_path):
    request = make_request(payload)
    for write in (write_app, write_maven_repository):
        with pytest.raises(PackageError, match=r"of which LiteRT 1\.4\.0.* knows 13"):
            write(tmp_path / "out", request)
        assert not (tmp_path / "out").exists()


def test_limits_are_those_of_the_litert_that_is_pinned():
    assert pinned_version("litert") == RELEASE


def test_apps_with_a_litert_of_their_own_are_told(tiny_models, blocked):
    models = {"a.tflite": tiny_models["int8"], "b.tflite": blocked}
    (line,) = describe_newer(models)
    assert line.startswith("b.tflite has FULLY_CONNECTED of version 14: LiteRT 1.4.0")


def test_32_bit_pi_has_no_runtime_for_it(blocked):
    with pytest.raises(PackageError, match="FULLY_CONNECTED of version 14"):
        check_models({"models/m.tflite": blocked}, system_for("3.11", "armv7l"))
