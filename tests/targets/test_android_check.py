"""The verifier on packages that others made, with their tools where they are here."""

import json
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hand_made_models import make_model, serialise
from hand_made_payloads import LABELS, described_model, hand_made_payload

from edgedeploy.errors import InputError
from edgedeploy.formats.zip import entries
from edgedeploy.targets.android.check import read_contents
from edgedeploy.targets.android.checks.contents import open_contents
from edgedeploy.targets.android.checks.placement import (
    check_in_apk,
    check_in_bundle,
    check_in_module,
)
from edgedeploy.targets.android.checks.running import payload_folders
from edgedeploy.verify import verify

FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android"
    package="org.example.{name}" android:versionCode="1" android:versionName="1">
  <uses-sdk android:minSdkVersion="24" android:targetSdkVersion="34"/>
  <application android:hasCode="false" android:label="{name}"/>
</manifest>
"""
# Zeros, which aapt compresses; a trained network's weights it may not.
PAD = 100_000


def library(*texts, alignment=0x4000):
    """A 64-bit Arm library: one segment, and texts among its constants."""
    header = struct.pack(
        "<4sBBB9xHHIQQQIHHHHHH",
        b"\x7fELF",
        *(2, 1, 1),
        *(3, 183, 1),
        *(0, 64, 0),
        *(0, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 0, 0, alignment)
    return header + segment + b"".join(b"\0" + text + b"\0" for text in texts)


def package(path, model, *, labels=LABELS, files=(), method=zipfile.ZIP_STORED):
    """A package as anybody's ZIP program writes it, not signed."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("assets/model.tflite", model, compress_type=method)
        if labels:
            archive.writestr("assets/labels.txt", "\n".join(labels) + "\n")
        for name, data in files:
            archive.writestr(name, data)
    return path


def found(path, word):
    """The one check whose name has a word in it, of those that run no model."""
    contents = open_contents(path)
    placement = {
        ".apk": check_in_apk,
        ".aab": lambda file: check_in_bundle(contents, file),
        ".aar": lambda file: check_in_module(file, "an AAR"),
    }[path.suffix]
    (check,) = [c for c in read_contents(contents, placement) if word in c.name]
    return check


def aapt(folder, *flags, name="one", labels=LABELS):
    """Package a model with Android's old packaging tool."""
    program = shutil.which("aapt")
    if program is None or not FRAMEWORK.exists():
        pytest.skip("aapt is missing: apt-get install aapt android-framework-res")
    assets = folder / "assets"
    assets.mkdir(parents=True)
    (assets / "model.tflite").write_bytes(described_model(labels, pad=PAD))
    (assets / "labels.txt").write_text("\n".join(labels) + "\n")
    (folder / "AndroidManifest.xml").write_text(MANIFEST.format(name=name))
    path = folder / "app.apk"
    command = [program, "package", "-f", "-M", folder / "AndroidManifest.xml"]
    command += ["-I", FRAMEWORK, "-A", assets, "-F", path, *flags]
    subprocess.run(command, check=True, capture_output=True)
    return path


def test_plain_aapt_s_compression_is_reported(tmp_path):
    check = found(aapt(tmp_path), "can be mapped")
    assert (check.passed, "compressed" in check.detail) == (False, True)


def test_aapt_s_misalignment_is_reported(tmp_path):
    # The manifest's length decides where the model lands, and one in four is aligned.
    for name in ("a", "abc", "abcdefg"):
        path = aapt(tmp_path / name, "-0", "tflite", name=name)
        offset = next(
            entry.data_offset
            for entry in entries(path)
            if entry.name.endswith(".tflite")
        )
        if offset % 4:
            break
    else:
        pytest.fail(f"aapt aligned the model each time, the last time at {offset}")
    check = found(path, "can be mapped")
    assert (check.passed, "misaligned" in check.detail) == (False, True)


def test_labels_off_by_one_are_reported(tmp_path):
    path = aapt(tmp_path, "-0", "tflite")
    model = described_model(pad=PAD)
    package(path, model, labels=("background", *LABELS))
    check = found(path, "tflite labels")
    assert (check.passed, "off by one" in check.detail) == (False, True)
    package(path, model, labels=LABELS[1:])
    check = found(path, "tflite labels")
    assert (check.passed, "off by one" in check.detail) == (False, True)
    package(path, model)
    assert found(path, "tflite labels").passed is True


def test_what_android_s_own_tools_make_passes(tmp_path):
    for program in ("zipalign", "apksigner", "keytool"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: apt-get install zipalign apksigner")
    path = aapt(tmp_path, "-0", "tflite")
    aligned = tmp_path / "aligned.apk"
    run = {"check": True, "capture_output": True}
    subprocess.run(["zipalign", "-p", "4", path, aligned], **run)
    keys = tmp_path / "keys.p12"
    command = ["keytool", "-genkeypair", "-keystore", keys, "-storetype", "PKCS12"]
    command += ["-storepass", "secret", "-alias", "me", "-dname", "CN=me"]
    subprocess.run([*command, "-keyalg", "RSA", "-keysize", "2048"], **run)
    command = ["apksigner", "sign", "--ks", keys, "--ks-pass", "pass:secret", aligned]
    subprocess.run(command, **run)
    checks = verify(aligned)
    assert [check for check in checks if check.passed is False] == []
    (noticed,) = [check for check in checks if "tampering" in check.name]
    assert noticed.passed is True


@pytest.mark.parametrize(
    ("labels", "mean", "std", "word", "passed"),
    [
        (LABELS, 127.5, 127.5, "normalisation", True),
        (LABELS, 0.0, 255.0, "normalisation", True),
        # ImageNet's figures for pictures of 0..1, which metadata does not mean.
        (LABELS, 0.485, 0.229, "normalisation", False),
        (LABELS, 0.0, 1e9, "normalisation", False),
        (None, 0.0, 1.0, "metadata", False),
    ],
)
def test_metadata_is_judged(tmp_path, labels, mean, std, word, passed):
    model = described_model(labels, mean=mean, std=std)
    path = package(tmp_path / "app.apk", model)
    assert found(path, f"tflite {word}").passed is passed


def test_a_detector_is_not_asked_for_a_label_a_number(tmp_path):
    model = make_model()
    # Boxes and scores: what comes first has nothing to do with classes.
    model.subgraphs[0].outputs = [2, 4]
    path = package(tmp_path / "app.apk", serialise(model))
    assert found(path, "labels").passed is None


@pytest.mark.parametrize(
    ("version", "passed"),
    [(b"1.9.0", False), (b"1.10.0", True), (b"2.16.1-rc1", True), (b"9.9.9", None)],
)
def test_operators_are_compared_with_the_package_s_runtime(tmp_path, version, passed):
    # FULLY_CONNECTED in version 2 came with 1.10.0.
    runtime = ("lib/arm64-v8a/libtensorflowlite_jni.so", library(version))
    path = package(tmp_path / "app.apk", described_model(), files=[runtime])
    check = found(path, "runs on the runtime")
    assert (check.passed, "1.10.0" in check.detail) == (passed, True)


def test_flex_operators_need_their_delegate_in_the_package(tmp_path):
    model = described_model(custom="FlexErf")
    path = package(tmp_path / "app.apk", model)
    assert found(path, "Flex operators").passed is False
    delegate = ("lib/arm64-v8a/libtensorflowlite_flex_jni.so", library())
    package(path, model, files=[delegate])
    assert found(path, "Flex operators").passed is True


def test_libraries_for_small_pages_alone_are_named(tmp_path):
    files = [
        ("jni/arm64-v8a/libold.so", library(alignment=0x1000)),
        ("jni/arm64-v8a/libnew.so", library()),
        ("jni/arm64-v8a/libnone.so", b"text"),
        ("assets/colours/operators/linux-aarch64/pool.so", library(alignment=0x1000)),
    ]
    path = package(tmp_path / "lib.aar", described_model(), files=files)
    assert found(path, "libold").passed is False
    assert "16384" in found(path, "libold").detail
    assert found(path, "libnew").passed is True
    assert found(path, "libnone").passed is False
    assert found(path, "pool.so").passed is None


def test_a_bundle_that_lets_models_be_compressed_is_named(tmp_path):
    path = package(tmp_path / "app.aab", described_model())
    check = found(path, "can be mapped")
    assert (check.passed, "**.tflite" in check.detail) == (False, True)


@pytest.mark.parametrize(
    ("glob", "passed"),
    [
        # As the Android Gradle plugin writes noCompress += "tflite".
        (b"**.[tT][fF][lL][iI][tT][eE]", True),
        (b"assets/**", True),
        (b"base/assets/**", False),
        (b"**.[bB][iI][nN]", False),
        (b"\xff.tflite", False),
    ],
)
def test_a_bundle_s_globs_are_matched_inside_the_module(tmp_path, glob, passed):
    # BundleConfig: compression is field 3, its uncompressed_glob field 1.
    inner = b"\x0a" + bytes([len(glob)]) + glob
    path = tmp_path / "app.aab"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("BundleConfig.pb", b"\x1a" + bytes([len(inner)]) + inner)
        archive.writestr("base/assets/model.tflite", described_model())
    assert found(path, "can be mapped").passed is passed


def test_models_of_other_shapes_than_a_classifier_s_are_said_not_to_be_run(tmp_path):
    model = make_model()
    graph = model.subgraphs[0]
    # As a detector: a second output.
    graph.outputs = [4, 2]
    path = package(tmp_path / "detector.aar", serialise(model))
    (check,) = [check for check in verify(path) if check.name.endswith(" runs")]
    assert check.passed is None
    assert "1 inputs and 2 outputs" in check.detail


def test_a_model_that_the_runtime_refuses_fails_a_check(tmp_path):
    model = make_model()
    # The reshape gives 12 values, which are no 5 columns.
    model.buffers[1].data = np.array([1, 5], np.int32).view(np.uint8)
    path = package(tmp_path / "broken.aar", serialise(model))
    (check,) = [check for check in verify(path) if check.name.endswith(" runs")]
    assert check.passed is False


@pytest.mark.parametrize(
    ("files", "folders"),
    [
        # A web app's manifest, alone and beside somebody's contract.
        ({"manifest.json": {"name": "app", "icons": []}}, []),
        ({"manifest.json": {"name": "app"}, "contract.json": {"schema": 1}}, []),
        ({"manifest.json": {"schema": 1, "model": "m", "files": {}}}, []),
        (
            {
                "manifest.json": {"schema": 1, "model": "m", "files": {}},
                "contract.json": {},
            },
            ["assets/one"],
        ),
        # A damaged manifest is still replayed, and fails.
        (
            {
                "manifest.json": "damaged",
                "contract.json": {"schema": 1, "pipeline": {}, "variants": {}},
            },
            ["assets/one"],
        ),
    ],
)
def test_only_our_own_documents_are_a_payload(tmp_path, files, folders):
    path = tmp_path / "app.aar"
    with zipfile.ZipFile(path, "w") as archive:
        for name, document in files.items():
            archive.writestr(f"assets/one/{name}", json.dumps(document))
    assert [str(one) for one in payload_folders(open_contents(path))] == folders


def test_a_payload_at_the_top_of_an_archive_is_replayed(tmp_path):
    path = tmp_path / "top.aar"
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in hand_made_payload().files.items():
            data = source if isinstance(source, bytes) else source.read_bytes()
            archive.writestr(name, data)
    checks = [check for check in verify(path) if "self-test" in check.name]
    assert [check for check in checks if check.passed is False] == []
    assert any(check.passed for check in checks)


@pytest.mark.parametrize("kind", ["no files", "unsigned"])
def test_tampering_is_not_tried_on_what_does_not_verify(tmp_path, kind):
    path = tmp_path / "app.apk"
    with zipfile.ZipFile(path, "w") as archive:
        if kind == "unsigned":
            archive.writestr("assets/labels.txt", "one\n")
    (check,) = [check for check in verify(path) if "tampering" in check.name]
    assert check.passed is None


@pytest.mark.parametrize("suffix", [".apk", ".aab", ".aar"])
@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x05\x06" + bytes(18), b"PK\x03\x04" + bytes(60), b"x" * 5000],
    ids=["empty", "no files", "cut", "garbage"],
)
def test_malformed_packages_fail_checks_and_raise_nothing(tmp_path, suffix, data):
    path = tmp_path / f"one{suffix}"
    path.write_bytes(data)
    assert any(check.passed is False for check in verify(path))


def test_a_model_that_is_none_fails_a_check(tmp_path):
    path = package(tmp_path / "app.apk", b"\x1c\0\0\0TFL3" + bytes(64))
    assert found(path, "is a model").passed is False


def test_a_folder_without_models_and_a_missing_path(tmp_path):
    assert [check.name for check in verify(tmp_path) if check.passed is False] == [
        "models"
    ]
    with pytest.raises(InputError):
        verify(tmp_path / "none.apk")


def test_the_command_speaks_json_and_ends_with_1(tmp_path, capsys):
    from edgedeploy.cli import main

    path = package(tmp_path / "app.apk", described_model(), labels=("one", "two"))
    with pytest.raises(SystemExit) as end:
        main(["verify", "--path", str(path), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert end.value.code == 1
    assert answer["passed"] is False
    names = [check["name"] for check in answer["checks"] if check["passed"] is False]
    assert "assets/model.tflite labels" in names
