"""The generated app project: complete, honest about the model, sound to aapt2."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hand_made_payloads import hand_made_payload, make_request

from edgedeploy.errors import InputError
from edgedeploy.targets.android.apk import MIN_SDK, TARGET_SDK
from edgedeploy.targets.android.app import app_sources, write_app

FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
ANDROID = "{http://schemas.android.com/apk/res/android}"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    write_app(folder, make_request(title='It\'s "5 < 6" & @home?'))
    return folder


@pytest.fixture(scope="module")
def linked(project, tmp_path_factory):
    """What aapt2 makes of the resources: a package without code, and R.java."""
    if not shutil.which("aapt2"):
        pytest.skip("needs aapt2: apt-get install aapt")
    if not FRAMEWORK.is_file():
        pytest.skip("needs the framework: apt-get install android-framework-res")
    folder = tmp_path_factory.mktemp("linked")
    main = project / "app" / "src" / "main"
    manifest = (main / "AndroidManifest.xml").read_text()
    # The Android Gradle Plugin puts the namespace and the SDK levels there.
    (folder / "AndroidManifest.xml").write_text(
        manifest.replace("<manifest ", '<manifest package="edgedeploy.app" ')
    )
    compiled = folder / "compiled.zip"
    run("aapt2", "compile", "--dir", main / "res", "-o", compiled)
    run(
        *("aapt2", "link", "-o", folder / "app.apk", "-I", FRAMEWORK),
        *("--manifest", folder / "AndroidManifest.xml", "--java", folder / "java"),
        *("--min-sdk-version", "24", "--target-sdk-version", "36", compiled),
    )
    return folder


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kotlin(project):
    return {path: path.read_text() for path in project.rglob("*.kt")}


def test_models_contract_and_golden_vectors_lie_in_the_assets(project):
    assets = project / "app" / "src" / "main" / "assets" / "colours"
    for name, source in hand_made_payload().files.items():
        data = source if isinstance(source, bytes) else source.read_bytes()
        assert (assets / name).read_bytes() == data


def test_pure_module_needs_no_android(project):
    pure = {p: t for p, t in kotlin(project).items() if "classifier" in p.parts}
    assert {"ImagePipeline.kt", "SquareCrop.kt"} <= {path.name for path in pure}
    assert not [p for p, t in pure.items() if re.search(r"import (android|org\.)", t)]
    assert "android" not in (project / "classifier" / "build.gradle.kts").read_text()


def test_every_coordinate_is_pinned_in_the_catalogue(project):
    catalogue = (project / "gradle" / "libs.versions.toml").read_text()
    for build in project.rglob("*.gradle.kts"):
        for name in re.findall(r"libs\.([a-z.]+)", build.read_text()):
            entry = name.removeprefix("plugins.").replace(".", "-")
            assert f"\n{entry} = " in catalogue
    assert not re.search(r'= "[^"]*(\+|latest|SNAPSHOT)', catalogue)


def test_every_package_is_for_the_same_android(project):
    text = (project / "app" / "build.gradle.kts").read_text()
    levels = dict(re.findall(r"^ +(\w+Sdk) = (\d+)$", text, re.M))
    # Play takes nothing below 36 since 31 August 2026.
    assert levels == {"compileSdk": "36", "targetSdk": "36", "minSdk": str(MIN_SDK)}
    assert TARGET_SDK == 36
    pages = Path(__file__).parents[2] / "docs"
    assert "targetSdk 36" in (pages / "android.md").read_text()


def test_the_wrapper_is_made_for_the_gradle_that_is_pinned(project):
    pinned = (project / "gradle/wrapper/gradle-wrapper.properties").read_text()
    version = re.search(r"gradle-([0-9.]+)-bin\.zip$", pinned, re.M)[1]
    page = Path(__file__).parents[2] / "docs" / "android.md"
    for text in (page.read_text(), (project / "README.md").read_text()):
        assert re.findall("^ *gradle wrapper(.*?)(?: +#.*)?$", text, re.M) == [
            f" --gradle-version {version}"
        ]
        assert set(re.findall(r"Gradle (\d[0-9.]*\d)", text)) <= {version}


def test_no_binary_is_in_the_template(project):
    sources = app_sources()
    assert not [n for n in sources if n.endswith((".jar", ".png", ".keystore"))]
    for source in sources.values():
        source.read_bytes().decode()


def test_properties_say_what_is_packaged_whatever_it_holds(tmp_path):
    write_app(tmp_path, make_request(version_name="1 = \\ü#🙂", version_code=12))
    assert (tmp_path / "model.properties").read_text("ascii") == (
        "applicationId=org.example.colours.app\n"
        "versionCode=12\n"
        "versionName=1\\u0020=\\u0020\\u005c\\u00fc#\\ud83d\\ude42\n"
    )


def test_what_the_app_cannot_show_is_refused(tmp_path):
    payload = hand_made_payload()
    for name, what in (
        ("neighbours/vectors.npy", "nearest neighbours"),
        ("operators/arm64-v8a/x.so", "operators of its own"),
    ):
        other = replace(payload, files={**payload.files, name: b"x"})
        with pytest.raises(InputError, match=what):
            write_app(tmp_path, make_request(other))
    other = replace(payload, model="shades")
    with pytest.raises(InputError, match="one model; package colours, shades one by"):
        write_app(tmp_path, make_request(payload, other))
    assert not list(tmp_path.iterdir())


def test_what_was_changed_by_hand_is_generated_anew(tmp_path):
    write_app(tmp_path, make_request())
    build = tmp_path / "app" / "build.gradle.kts"
    before = build.read_bytes()
    build.write_text("broken")
    (tmp_path / "stray").write_text("x")
    write_app(tmp_path, make_request())
    assert build.read_bytes() == before
    assert not (tmp_path / "stray").exists()


def test_texts_and_pictures_are_described_and_translatable(project):
    layouts = list((project / "app/src/main/res/layout").glob("*.xml"))
    assert len(layouts) == 3
    for layout in layouts:
        for element in ET.parse(layout).iter():
            text = element.get(f"{ANDROID}text", "@string/")
            assert text.startswith("@string/"), layout
            if element.tag.endswith(("ImageView", "CropView")):
                assert element.get(f"{ANDROID}contentDescription", "").startswith("@")
    day, night = (
        {
            e.get("name")
            for e in ET.parse(project / "app/src/main/res" / folder).getroot()
        }
        for folder in ("values/themes.xml", "values-night/themes.xml")
    )
    assert day == night == {"App", "letterbox"}


def test_no_view_loses_its_padding_to_the_systems_bars(project):
    for layout in (project / "app/src/main/res/layout").glob("*.xml"):
        screen = ET.parse(layout).getroot()
        assert screen.get(f"{ANDROID}fitsSystemWindows") == "true"
        for element in screen.iter():
            fits = element.get(f"{ANDROID}fitsSystemWindows")
            assert not (fits and element.get(f"{ANDROID}padding")), layout
        assert screen[0].get(f"{ANDROID}padding") == "12dp"
    light = ET.parse(project / "app/src/main/res/values/themes.xml").getroot()
    items = {item.get("name"): item.text for item in light.iter("item")}
    assert items["android:windowLightStatusBar"] == "true"


def test_selftest_is_open_to_others_in_the_debug_build_alone(project):
    def exported(kind):
        manifest = ET.parse(project / "app/src" / kind / "AndroidManifest.xml")
        return {
            activity.get(f"{ANDROID}name"): activity.get(f"{ANDROID}exported")
            for activity in manifest.iter("activity")
        }

    assert exported("main") == {
        "edgedeploy.app.MainActivity": "true",
        "edgedeploy.app.CameraActivity": "false",
        "edgedeploy.app.SelfTestActivity": "false",
    }
    assert exported("debug") == {"edgedeploy.app.SelfTestActivity": "true"}


def test_every_string_is_used(project):
    values = ET.parse(project / "app/src/main/res/values/strings.xml").getroot()
    used = "".join(kotlin(project).values()) + "".join(
        path.read_text() for path in (project / "app/src/main").rglob("*.xml")
    )
    for element in values:
        name = element.get("name")
        assert f"R.string.{name}" in used or f"@string/{name}" in used


def test_aapt2_links_the_resources(linked):
    badging = run("aapt2", "dump", "badging", linked / "app.apk")
    # badging itself writes quotes with a backslash.
    assert """application-label:'It's \\"5 < 6\\" & @home?'""" in badging
    assert "launchable-activity: name='edgedeploy.app.MainActivity'" in badging
    assert "sdkVersion:'24'" in badging
    # Play would hide the app from devices that lack a required feature.
    required = re.findall(r"^  uses-feature: name='(.*)'", badging, re.M)
    assert required == ["android.hardware.faketouch"]
    strings = run("aapt2", "dump", "resources", linked / "app.apk")
    assert "string/model_folder" in strings
    assert (linked / "java" / "edgedeploy" / "app" / "R.java").is_file()


def test_aapt2_notices_a_resource_that_is_missing(project, tmp_path, linked):
    broken = tmp_path / "res"
    shutil.copytree(project / "app/src/main/res", broken)
    strings = broken / "values" / "strings.xml"
    strings.write_text(strings.read_text().replace('name="shutter"', 'name="shuter"'))
    run("aapt2", "compile", "--dir", broken, "-o", tmp_path / "compiled.zip")
    done = subprocess.run(
        [
            *("aapt2", "link", "-o", tmp_path / "app.apk", "-I", FRAMEWORK),
            *("--manifest", linked / "AndroidManifest.xml", tmp_path / "compiled.zip"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "string/shutter" in done.stderr
