"""Operators in a bundle: taken for this machine, checked, and missed clearly."""

import json
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tiny_models as tiny

from edgedeploy.catalog import read_model_file
from edgedeploy.errors import InputError
from edgedeploy.ondevice.classifier import Classifier
from edgedeploy.ondevice.classify import main
from edgedeploy.ondevice.delivered import BundleError
from edgedeploy.ondevice.libraries import machine_abi
from edgedeploy.ondevice.litert_abi import OperatorError
from edgedeploy.ondevice.selftest import run_selftest
from edgedeploy.operators import Fusion, fuse_layer
from edgedeploy.operators.compile import HEADER

LIBRARY = f"operators/{machine_abi()}/EdgedeployTopKPooling.so"


@dataclass
class Delivered:
    """What packaging needs to know of an operator."""

    name: str
    libraries: tuple
    host_library: Path


@pytest.fixture(scope="module")
def payload(pooling, compiled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    fusion = Fusion(layer=pooling.LAYER, name=pooling.NAME, options=(4,))
    model = folder / "float32.tflite"
    model.write_bytes(fuse_layer(pooling.pooling_model((1, 32, 32, 3)), fusion))
    own = compiled(machine_abi())
    pictures = tiny.draw_pictures(folder)
    from edgedeploy.targets.payload import build_payload

    return build_payload(
        tiny.tiny_spec(labels=("red", "green", "blue")),
        [tiny.Converted("float32", model)],
        default="float32",
        facts={},
        pictures=pictures,
        operators=[Delivered(pooling.NAME, (own,), own.path)],
    )


@pytest.fixture
def bundle(payload, tmp_path):
    return tiny.unpack(payload, tmp_path / "bundle")


def change(bundle, edit):
    path = bundle / "contract.json"
    document = json.loads(path.read_text())
    edit(document["operators"][0])
    path.write_text(json.dumps(document))


def test_bundle_lists_and_carries_its_operators(bundle):
    document = json.loads((bundle / "contract.json").read_text())
    (operator,) = document["operators"]
    assert operator["name"] == "EdgedeployTopKPooling"
    assert operator["libraries"][machine_abi()]["file"] == LIBRARY
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert LIBRARY in manifest["files"]


def test_classifier_answers_with_numpys_numbers(bundle, pooling):
    picture = bundle / "golden/1.png"
    classifier = Classifier(bundle)
    guesses = classifier.classify(picture, 3)
    from edgedeploy.ondevice.pictures import prepare

    rgb = prepare(picture, classifier.bundle.pipeline)
    values = rgb[None].astype(np.float32) / np.float32(255)
    expected = pooling.pool(values, 4)[0]
    found = {guess.index: guess.score for guess in guesses}
    assert found == {index: float(value) for index, value in enumerate(expected)}


def test_selftest_passes_and_without_native_code_it_says_so(bundle):
    assert run_selftest(bundle)["passed"] is True
    report = run_selftest(bundle, native=False)
    left = [check for check in report["checks"] if check["passed"] is None]
    assert [check["name"] for check in left] == ["models"]
    assert "native code of the bundle" in left[0]["detail"]
    assert not any(check["name"] == "float32 model" for check in report["checks"])


def test_bundle_without_a_library_for_this_machine_refuses_in_a_line(bundle, capsys):
    def forget(operator):
        operator["libraries"]["linux-riscv64"] = operator["libraries"].pop(
            machine_abi()
        )

    change(bundle, forget)
    code = main(["--folder", str(bundle), str(bundle / "golden/1.png")])
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 1
    assert "the models need the operator EdgedeployTopKPooling" in line
    assert f"not for {machine_abi()} (it has linux-riscv64)" in line


def test_altered_library_is_refused_before_it_is_loaded(bundle):
    path = bundle / LIBRARY
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(OperatorError, match="not the library that the contract names"):
        Classifier(bundle)


def test_contract_that_forgets_the_operator_refuses_in_a_line(bundle):
    path = bundle / "contract.json"
    document = json.loads(path.read_text())
    del document["operators"]
    path.write_text(json.dumps(document))
    with pytest.raises(BundleError.__mro__[1], match="not registered"):
        Classifier(bundle)


@pytest.mark.parametrize(
    "name", ["../../outside.so", "/lib/libm.so.6", "operators\\x.so", ""]
)
def test_library_outside_the_bundle_is_refused(bundle, name):
    change(
        bundle, lambda operator: operator["libraries"][machine_abi()].update(file=name)
    )
    with pytest.raises(BundleError):
        Classifier(bundle)


def test_benchmark_on_the_device_runs_it(bundle, capsys):
    from edgedeploy.ondevice.benchmark import main as benchmark

    words = ["--folder", str(bundle), "--seconds", "1", "--min-rounds", "1"]
    assert benchmark([*words, "--threads", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["variants"]["float32"]["threads"]["1"]["p50_ms"] > 0


TOML = """\
[[custom_ops]]
name = {name}
layer = "top_k_pooling"
source = {source}
options = {options}
"""


def read(tmp_path, *, name='"Op"', source='"op.c"', options="[4]", times=1):
    """Read the shipped EfficientNet's TOML with an operator."""
    from edgedeploy.resources import resource_folder

    models = resource_folder("models")
    copy = tmp_path / "models"
    copy.mkdir()
    for folder in ("labels", "licences"):
        shutil.copytree(models / folder, copy / folder)
    text = (models / "efficientnet_lite0.toml").read_text()
    entry = TOML.format(name=name, source=source, options=options)
    path = copy / "own.toml"
    path.write_text(text.replace("[[weights]]", entry * times + "\n[[weights]]", 1))
    return read_model_file(path)[0]


def test_toml_declares_operators(tmp_path):
    (op,) = read(tmp_path).custom_ops
    assert (op.name, op.layer, op.options) == ("Op", "top_k_pooling", (4,))
    assert op.source == str((tmp_path / "models" / "op.c").resolve())


def test_shipped_source_goes_by_its_name(tmp_path):
    (op,) = read(tmp_path, source='"edgedeploy:top_k_pooling.c"').custom_ops
    assert op.source == str(HEADER.with_name("top_k_pooling.c"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": '"../op"'},
        {"name": '"1op"'},
        {"name": "3"},
        {"source": "3"},
        {"options": "4"},
        {"options": "[1.5]"},
        {"options": "[1, 2, 3, 4, 5, 6, 7, 8, 9]"},
        {"times": 2},
    ],
    ids=str,
)
def test_impossible_declaration_is_refused_by_file(tmp_path, wrong):
    with pytest.raises(InputError, match=r"own\.toml: "):
        read(tmp_path, **wrong)


def test_machine_is_named_as_compilers_name_it():
    assert machine_abi() == f"linux-{platform.machine()}"


def test_32_bit_runtime_cannot_be_given_an_operator(bundle):
    from edgedeploy.errors import PackageError
    from edgedeploy.targets.raspberry_pi.runtime_limits import check_models
    from edgedeploy.targets.raspberry_pi.systems import system_for

    models = {"models/float32.tflite": bundle / "models/float32.tflite"}
    check_models(models, system_for("3.11", "aarch64"))
    with pytest.raises(PackageError, match="needs the operator EdgedeployTopKPooling"):
        check_models(models, system_for("3.11", "armv7l"))
