"""The app's Kotlin, type-checked against the platform's API; nothing of it is run."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from android_platform import Platform
from filelock import FileLock
from hand_made_payloads import make_request
from kotlin_compiler import fetch_kotlin
from registries import ask_pip

from edgedeploy.resources import resource_folder
from edgedeploy.targets.android.app import write_app

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1800)]

STUBS = "chaquopy-stubs-android==36.20260406"
# Unverified: LiteRT's AAR was not at hand, see the file.
LITERT = resource_folder("android_assets") / "aar" / "Interpreter.kt"
# What the sources use without naming it.
UNNAMED = (
    "android.content.res.AssetFileDescriptor",
    "android.hardware.camera2.CaptureRequest",
    "android.hardware.camera2.params.StreamConfigurationMap",
    "android.util.Size",
)
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")


@pytest.fixture(scope="module")
def platform():
    """Android's API, level 36, as PyPI has it, kept between runs."""
    folder = Path(tempfile.gettempdir()) / f"edgedeploy-test-{STUBS}"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / ".lock"):
        if not (folder / "complete").is_file():
            words = ("download", "-q", "--no-deps", "-d", folder, STUBS)
            ask_pip(sys.executable, *words)
            for wheel in folder.glob("*.whl"):
                zipfile.ZipFile(wheel).extractall(folder)
            (folder / "complete").touch()
    return folder


@pytest.fixture(scope="module")
def declared(platform, tmp_path_factory):
    """The project, and Java declarations of all that its sources name."""
    project = tmp_path_factory.mktemp("app")
    write_app(project, make_request())
    folder = tmp_path_factory.mktemp("declared")
    names = set(UNNAMED)
    for path in project.rglob("*.kt"):
        names |= set(re.findall(r"^import (android\.[\w.]+)", path.read_text(), re.M))
    assert len(names) > 30
    api = Platform(platform)
    for name in sorted(names):
        api.want(name)
    api.write(folder)
    write_resource_names(project, folder)
    return project, folder


def write_resource_names(project, folder):
    """R.java, by aapt2."""
    if not shutil.which("aapt2") or not FRAMEWORK.is_file():
        pytest.skip("needs aapt2: apt-get install aapt android-framework-res")
    main = project / "app" / "src" / "main"
    manifest = folder / "AndroidManifest.xml"
    manifest.write_text(
        (main / "AndroidManifest.xml")
        .read_text()
        .replace("<manifest ", '<manifest package="edgedeploy.app" ')
    )
    compiled = folder / "compiled.zip"
    for command in (
        ("aapt2", "compile", "--dir", main / "res", "-o", compiled),
        (
            *("aapt2", "link", "-o", folder / "app.apk", "-I", FRAMEWORK),
            *("--manifest", manifest, "--java", folder, compiled),
        ),
    ):
        subprocess.run(command, check=True, capture_output=True)


def documented():
    """The Kotlin of docs/android.md for apps that there are, as one function."""
    page = (Path(__file__).parents[2] / "docs" / "android.md").read_text()
    chapter = page.partition("## In an app that you have\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```kotlin\n(.*?)^```$", chapter, re.M | re.S)
    assert len(blocks) == 2
    lines = "".join(blocks).splitlines()
    imports = [line for line in lines if line.startswith("import ")]
    body = [line for line in lines if not line.startswith("import ")]
    given = "assets: AssetManager, bitmap: Bitmap, exifOrientation: Int"
    return "\n".join(
        [
            *imports,
            "import android.graphics.Bitmap",
            f"fun documented({given}): List<Guess> {{",
            *body,
            "return guesses",
            "}",
        ]
    )


@pytest.fixture(scope="module")
def complaints(declared, tmp_path_factory):
    """Compile the modules one after the other, with changes; gives the errors.

    The compiler is the one that the project pins.
    """
    project, folder = declared
    catalogue = (project / "gradle" / "libs.versions.toml").read_text()
    pinned = re.search(r'^kotlin = "([0-9.]+)"$', catalogue, re.M)[1]
    kotlinc = fetch_kotlin(pinned)

    def run(changes):
        # Each module by itself, as Gradle does: internal names end at its border.
        pure, app = tmp_path_factory.mktemp("pure"), tmp_path_factory.mktemp("app")
        (app / "Documented.kt").write_text(documented())
        for path in project.rglob("*.kt"):
            text = path.read_text()
            for right, wrong in changes:
                text = text.replace(right, wrong)
            is_pure = path.is_relative_to(project / "classifier")
            ((pure if is_pure else app) / path.name).write_text(text)
        jar = pure.with_suffix(".jar")
        found = compile_module(kotlinc, "classifier", jar, (), (pure,))
        if found:
            return found
        return compile_module(
            kotlinc, "app", app / "classes", (jar,), (folder, app, LITERT)
        )

    return run


def compile_module(kotlinc, name, target, classpath, sources):
    """Compile a module; gives the file and the text of each complaint."""
    given = ("-cp", os.pathsep.join(map(str, classpath))) if classpath else ()
    done = subprocess.run(
        [
            *("bash", kotlinc, "-Werror", "-module-name", name, "-d", target),
            *given,
            *sources,
        ],
        env={**os.environ, "JAVA_OPTS": "-Xmx1g"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"([\w]+\.kt):\d+:\d+: (?:error|warning): (.*)", done.stderr)
    assert (done.returncode == 0) == (not found), done.stderr
    return found


def test_app_fits_the_platforms_interface(complaints):
    assert complaints([]) == []


def test_deliberate_mistakes_are_caught(complaints):
    found = complaints(
        [
            ("setRepeatingRequest(", "setRepeatingRequests("),
            (".setNumThreads(", ".setNumberThreads("),
            ("R.string.no_camera", "R.string.no_camra"),
            ("place.startOffset", "place.startOffset.name"),
            # No longer the platform's method, though it compiles by itself.
            ("override fun onDisconnected(", "override fun onDisconected("),
            # An answer that can be null.
            ("chosen == null", "false"),
            # A name that stays inside the other module.
            ("fun sampleSize(", "internal fun sampleSize("),
        ]
    )
    said = " ".join(text for _, text in found)
    for name in (
        "setRepeatingRequests",
        "setNumberThreads",
        "no_camra",
        "'name'",
        "'onDisconected' overrides nothing",
        "it is internal",
    ):
        assert name in said
    assert ("MainActivity.kt", True) in {(file, "Uri?" in text) for file, text in found}
