"""Every kind of Android package: the same bytes, whole, and noticed when changed."""

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
from hand_made_payloads import LABELS, digests, hand_made_payload, make_request
from kotlin_compiler import fetch_kotlin

from edgedeploy.errors import InputError
from edgedeploy.formats.proto_manifest import read_proto_manifest
from edgedeploy.resources import resource_folder
from edgedeploy.targets.android.check import check_jar_signature
from edgedeploy.targets.android.checks.clients import ask_jarsigner
from edgedeploy.targets.android.checks.contents import open_contents
from edgedeploy.targets.android.checks.integrity import check_integrity
from edgedeploy.targets.android.kinds import KINDS, kind_named
from edgedeploy.verify import verify

AAR = "maven/org/example/colours/1.2/colours-1.2.aar"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each kind in a folder of its own."""
    folders = {}
    for name, kind in KINDS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        kind.write(folders[name], make_request())
    return folders


@pytest.fixture
def copy(made, tmp_path):
    """Copy a kind's folder, to change it; gives the path that is verified."""

    def run(name):
        shutil.copytree(made[name], tmp_path / "copy")
        return tmp_path / "copy" / KINDS[name].main(make_request())

    return run


def failures(path):
    return [check for check in verify(path) if check.passed is False]


def changed(path):
    """What the sums say; running models for each changed byte would take minutes."""
    found = check_integrity(open_contents(path))
    return [check for check in found if check.passed is False]


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_rebuilt_byte_for_byte(made, tmp_path, name):
    KINDS[name].write(tmp_path, make_request())
    assert digests(tmp_path) == digests(made[name])
    # Over what is there already, too.
    KINDS[name].write(tmp_path, make_request())
    assert digests(tmp_path) == digests(made[name])


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_leaves_what_it_says_and_passes_the_verifier(made, name):
    kind, request = KINDS[name], make_request()
    tops = {path.name for path in made[name].iterdir()}
    assert tops == {output.split("/")[0] for output in kind.outputs(request)}
    assert failures(made[name] / kind.main(request)) == []


def test_unknown_kinds_and_deliveries_name_the_known_ones():
    with pytest.raises(InputError, match=r"asset-pack.*ipa"):
        kind_named("ipa")
    with pytest.raises(InputError, match="on-demand"):
        make_request(delivery="sometimes")


@pytest.mark.parametrize("name", ["asset-pack", "ai-pack"])
@pytest.mark.parametrize("delivery", ["install-time", "fast-follow", "on-demand"])
def test_a_gradle_module_names_its_pack_and_delivery(tmp_path, name, delivery):
    KINDS[name].write(tmp_path, make_request(delivery=delivery))
    text = (tmp_path / name / "build.gradle.kts").read_text()
    assert f'id("com.android.{name}")' in text
    assert 'packName.set("colours_model")' in text
    assert f'deliveryType.set("{delivery}")' in text
    assert (tmp_path / name / "src/main/assets/colours/models/float32.tflite").is_file()


def test_coreutils_accept_the_sums_of_a_gradle_module(made):
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
        cwd=made["asset-pack"] / "asset-pack",
        check=False,
    )
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["asset-pack", "ai-pack"])
def test_any_changed_file_of_a_gradle_module_is_noticed(copy, name):
    folder = copy(name)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        good = path.read_bytes()
        bad = bytearray(good)
        bad[len(bad) // 2] ^= 1
        path.write_bytes(bad)
        assert [check.name for check in changed(folder)] == ["SHA256SUMS"], path
        path.write_bytes(good)
    stray = folder / "src" / "main" / "assets" / "stray.txt"
    stray.write_text("mine")
    assert any("not listed" in check.detail for check in changed(folder))
    stray.unlink()
    (folder / "build.gradle.kts").unlink()
    assert any("missing" in check.detail for check in changed(folder))


@pytest.mark.parametrize("name", ["aab", "aar"])
def test_any_flipped_byte_of_an_archive_is_noticed(copy, name):
    path = copy(name)
    contents = open_contents(path)
    assert [check.passed for check in check_integrity(contents)] == [True]
    good = path.read_bytes()
    chance = random.Random(7)
    # A time, the end record's own numbers, both ends, and anywhere.
    positions = [0, 10, len(good) - 6, len(good) - 1]
    positions += [chance.randrange(len(good)) for _ in range(200)]
    for position in positions:
        with path.open("r+b") as stream:
            stream.seek(position)
            stream.write(bytes([good[position] ^ 1 << chance.randrange(8)]))
            stream.flush()
            # The list of entries is of the good file: sums need no sound archive.
            found = [check.passed for check in check_integrity(contents)]
            assert found == [False], position
            stream.seek(position)
            stream.write(good[position : position + 1])
    assert path.read_bytes() == good


@pytest.mark.parametrize("name", ["aab", "aar"])
def test_what_is_no_archive_any_more_fails_the_verifier(copy, name):
    path = copy(name)
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    assert failures(path)


def test_the_build_s_manifest_notices_what_sums_beside_would_hide(copy):
    path = copy("aab")
    root = path.parents[1]
    folder = root / "android"
    path.parent.rename(folder)
    path = folder / path.name
    sum_file = path.with_name(f"{path.name}.sha256")
    deliverables = {
        f"android/{one.name}": {
            "sha256": hashlib.sha256(one.read_bytes()).hexdigest(),
            "size_bytes": one.stat().st_size,
        }
        for one in (path, sum_file)
    }
    manifest = {"schema": 1, "deliverables": deliverables}
    (root / "manifest.json").write_text(json.dumps(manifest))
    assert changed(path) == []
    bad = bytearray(path.read_bytes())
    # The time of the first entry, which no signature covers.
    bad[10] ^= 1
    path.write_bytes(bad)
    sum_file.write_text(f"{hashlib.sha256(bad).hexdigest()}  {path.name}\n")
    assert "build's manifest" in [check.name for check in changed(path)]


@pytest.mark.parametrize("what", ["unsigned", "changed"])
def test_an_unsigned_bundle_and_a_changed_entry_are_refused(copy, tmp_path, what):
    other = tmp_path / "other.aab"
    with zipfile.ZipFile(copy("aab")) as source, zipfile.ZipFile(other, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            if what == "unsigned" and info.filename.startswith("META-INF/"):
                continue
            if what == "changed" and info.filename.endswith("labels.txt"):
                data = b"other\n"
            target.writestr(info.filename, data)
    assert check_jar_signature(other).passed is False
    if shutil.which("jarsigner") is None:
        pytest.skip("jarsigner is missing: apt-get install default-jdk-headless")
    assert ask_jarsigner(other).passed is False


def test_a_bundle_has_a_base_and_a_pack_without_a_version_of_its_own(made):
    with zipfile.ZipFile(made["aab"] / "colours.aab") as archive:
        names = set(archive.namelist())
        base = read_proto_manifest(archive.read("base/manifest/AndroidManifest.xml"))
        pack = read_proto_manifest(
            archive.read("colours_model/manifest/AndroidManifest.xml")
        )
    assert "colours_model/assets/colours/models/float32.tflite" in names
    assert base["package"] == pack["package"] == "org.example.colours"
    assert (base["versionCode"], base["versionName"]) == ("7", "1.2")
    assert pack["split"] == "colours_model"
    assert "versionCode" not in pack


def test_a_library_lies_where_maven_looks_for_it(made):
    folder = made["aar"]
    path = folder / AAR
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        assert archive.testzip() is None
    assert {"AndroidManifest.xml", "R.txt", "classes.jar", "proguard.txt"} <= names
    assert "assets/colours/models/float32.tflite" in names
    pom = path.with_suffix(".pom").read_text()
    for line in (
        "<groupId>org.example</groupId>",
        "<artifactId>colours</artifactId>",
        "<version>1.2</version>",
        "<packaging>aar</packaging>",
    ):
        assert line in pom
    with zipfile.ZipFile(path.with_name("colours-1.2-sources.jar")) as archive:
        assert "edgedeploy/ImagePipeline.kt" in archive.namelist()
    for one in (path, path.with_suffix(".pom")):
        for suffix in ("sha1", "sha256"):
            expected = hashlib.new(suffix, one.read_bytes()).hexdigest()
            assert one.with_name(f"{one.name}.{suffix}").read_text() == expected


@pytest.mark.parametrize("version", ["1/2", "..", "1 beta", ""])
def test_a_version_that_maven_could_not_name_is_refused(tmp_path, version):
    with pytest.raises(InputError, match="--version-name"):
        KINDS["aar"].write(tmp_path, make_request(version_name=version))
    assert not any(tmp_path.rglob("*.aar"))


def test_the_library_needs_the_litert_that_the_app_project_pins(made):
    catalogue = (made["app"] / "app" / "gradle" / "libs.versions.toml").read_text()
    pinned = re.search(r'^litert = "(.+)"$', catalogue, re.MULTILINE)[1]
    pom = ET.parse((made["aar"] / AAR).with_suffix(".pom")).getroot()
    space = "{http://maven.apache.org/POM/4.0.0}"
    found = {
        one.findtext(f"{space}artifactId"): one
        for one in pom.iter(f"{space}dependency")
    }
    assert found["litert"].findtext(f"{space}version") == pinned
    # An app gives its own Interpreter.Options, so it compiles against it.
    assert found["litert"].findtext(f"{space}scope") == "compile"
    stubs = Path(__file__).parents[2] / "android_assets" / "aar" / "Interpreter.kt"
    assert f"com.google.ai.edge.litert:litert {pinned}," in stubs.read_text()


def test_the_verifier_says_that_a_library_has_no_classes(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    KINDS["aar"].write(tmp_path, make_request())
    (found,) = [one for one in verify(tmp_path / AAR) if one.name == "classes.jar"]
    assert found.passed is None
    assert "kotlinc" in found.detail


CONSUMER = """
import edgedeploy.Contract
import edgedeploy.Guess
import edgedeploy.PictureClassifier
import edgedeploy.Rgb

fun model(text: String): Contract = Contract.parse(text)
fun guess(classifier: PictureClassifier, picture: Rgb): List<Guess> =
    classifier.classify(listOf(picture), k = 1).first()
"""


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(900)
def test_with_a_compiler_the_library_has_classes(kotlinc, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    # npm leaves its scripts without the right to run.
    (programs / "kotlinc").write_text(f'#!/bin/sh\nexec bash "{kotlinc}" "$@"\n')
    (programs / "kotlinc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    found = []
    for number in range(2):
        folder = tmp_path / str(number)
        KINDS["aar"].write(folder, make_request())
        with zipfile.ZipFile(folder / AAR) as archive:
            found.append(archive.read("classes.jar"))
    assert found[0] == found[1]
    jar = tmp_path / "classes.jar"
    jar.write_bytes(found[0])
    with zipfile.ZipFile(jar) as archive:
        names = archive.namelist()
    assert "edgedeploy/PictureClassifier.class" in names
    assert "edgedeploy/ImagePipeline.class" in names
    assert not [name for name in names if name.startswith("org/")]
    catalogue = resource_folder("android_assets") / "app/gradle/libs.versions.toml"
    pinned = re.search(r'^kotlin = "(.+)"$', catalogue.read_text(), re.MULTILINE)[1]
    pom = (folder / AAR).with_suffix(".pom").read_text()
    assert re.search(rf"kotlin-stdlib</artifactId>\s*<version>{pinned}<", pom)
    # An app on the Kotlin that the app project pins reads and calls them.
    (tmp_path / "Consumer.kt").write_text(CONSUMER)
    stub = resource_folder("android_assets") / "aar" / "Interpreter.kt"
    done = subprocess.run(
        [
            *("bash", fetch_kotlin(pinned), "-cp", jar, "-d", tmp_path / "consumer"),
            *(tmp_path / "Consumer.kt", stub),
        ],
        env={**os.environ, "JAVA_OPTS": "-Xmx1g"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_several_models_share_one_label_set(tmp_path):
    others = (hand_made_payload(), hand_made_payload("colours_two"))
    KINDS["apk"].write(tmp_path, make_request(*others))
    path = tmp_path / "colours-assets.apk"
    with zipfile.ZipFile(path) as archive:
        index = json.loads(archive.read("assets/models.json"))
        labels = archive.read(f"assets/{index['labels']['file']}")
    assert [one["model"] for one in index["models"]] == ["colours", "colours_two"]
    assert labels.decode().split() == list(LABELS)
    assert index["labels"]["sha256"] == hashlib.sha256(labels).hexdigest()


def test_models_of_other_labels_are_not_one_package():
    other = hand_made_payload("others", ("a", "b", "c", "d"))
    with pytest.raises(InputError, match="share one label set"):
        make_request(hand_made_payload(), other)
