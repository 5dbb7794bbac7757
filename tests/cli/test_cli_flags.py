"""Every flag with nonsense, as a new user and as an adversary would give it."""

import subprocess
import sys

import pytest

from edgedeploy.cli import namespace
from edgedeploy.cli.command import CHOICE_FLAGS

BUILD = ("--model", "tiny.toml", "--images", "pictures")
NONSENSE = {
    "--model": ("", "nope", "nope.toml", "../nope.toml", "tiny", "/", "a\0b.toml"),
    "--labels": ("nope", "labels.txt", "/dev/null"),
    "--weights": ("nope", "nope.keras", "labels.txt", "pictures", "../.."),
    "--images": ("nope", "tiny.toml", "/dev/null"),
    "--calibration": ("nope", "tiny.toml"),
    "--finetune": ("nope", "tiny.toml", "pictures"),
    "--recipes": ("nope", "int8;float16", "int8,nope", "INT8"),
    "--threads": ("x", "-1", "1.5", "", "9" * 5000),
    "--max-skipped": ("x", "-0.1", "1.1", "nan", "inf", ""),
    "--max-top1-drop": ("x", "-0.1", "1.1", "nan"),
    "--prefer": ("", "best", "Smallest"),
    "--device-pipeline": ("iphone", "android,nope", "Android", "../android"),
    "--runtime": ("", "nope", "onnx"),
    "--version-code": ("x", "0", "-1", "2100000001", "1.0"),
    "--version-name": ("", " ", "1\n2"),
    "--package": ("x", "a..b", "1a.b", "a.b-c", "a" * 300 + ".b"),
    "--python": ("2.7", "3", "x", "3.11,nope", "3.11;rm"),
    "--kind": ("nope", "apk,nope", "tar;apk", "APK"),
    "--delivery": ("nope", "install", "on-demand,fast-follow"),
    "--min-app-version": ("x", "-1", "1.5"),
    "--rotated-from": ("nope.p12", "tiny.toml"),
    "--keystore": ("nope.p12", "tiny.toml", "pictures", "labels.txt"),
}


@pytest.mark.parametrize(
    ("flag", "value"),
    [(flag, value) for flag, values in NONSENSE.items() for value in values],
    ids=lambda text: text[:20] or "empty",
)
def test_nonsense_is_refused_before_anything_is_made(project, refused, flag, value):
    usual = dict(zip(BUILD[::2], BUILD[1::2], strict=True)) | {flag: value}
    flags = [word for pair in usual.items() for word in pair]
    line = refused(project, "build", *flags)
    assert len(line) < 500
    assert not (project.folder / "variants").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("bulid",),
        ("build", "--modle", "tiny.toml"),
        ("build", "--model"),
        ("build", "--no-such-flag"),
        ("build", "stray"),
        ("build", "--prefer=smallest", "--bogus=1"),
        ("package.ios",),
        ("--bogus",),
    ],
)
def test_misspelt_word_is_2_for_edgedeploy(project, refused, words):
    assert "--list" in refused(project, *words)


def test_misspelt_flag_is_1_for_inv(tiny):
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "build", "--modle", "tiny"],
        cwd=tiny.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "--modle" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["--threads", "--max-skipped", "--version-code"])
def test_bad_number_is_2_for_inv_too(tiny, flag):
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "build", flag, "many"],
        cwd=tiny.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{flag} takes a" in done.stderr


@pytest.mark.parametrize("flag", ["--images", "--calibration", "--finetune"])
def test_missing_pictures_are_missed_before_anything_is_fetched(project, refused, flag):
    usual = dict(zip(BUILD[::2], BUILD[1::2], strict=True)) | {flag: "nowhere"}
    words = [word for pair in usual.items() for word in pair]
    recipes = ("--recipes", "int4_mixed")
    line = refused(project, "convert", *words, *recipes)
    assert line == "error: nowhere: no such folder of pictures\n"
    assert not project.folder.exists()


def test_number_that_is_none_is_told_what_it_would_be(project, refused):
    line = refused(project, "build", *BUILD, "--max-size", "3MB")
    assert "largest int4_mixed file in bytes" in line
    assert "received '3MB'" in line


def test_every_task_that_makes_variants_can_ask_for_the_same_ones():
    made = {
        name: {argument.name for argument in namespace[name].get_arguments()}
        for name in namespace.task_names
    }
    made = {name: flags for name, flags in made.items() if "recipes" in flags}
    # These begin with files that are there; fetch ends before any is made.
    rest = {
        name: sorted(set(CHOICE_FLAGS) - flags)
        for name, flags in made.items()
        if name not in ("fetch", "android.benchmark")
    }
    assert rest
    assert {name: lacking for name, lacking in rest.items() if lacking} == {}


def test_error_is_one_line_and_debug_adds_the_traceback(project):
    done = project.run("build", "--model", "nope")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    done = project.run("build", "--model", "nope", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: no model 'nope'")
    assert done.stdout == ""


def test_keystore_without_its_password_does_not_wait_for_one(project, refused):
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        pkcs12,
    )

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secret = BestAvailableEncryption(b"right")
    path = project.root / "release.p12"
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(b"me", key, None, None, secret)
    )
    flags = (*BUILD, "--keystore", "release.p12")
    line = refused(project, "build", *flags)
    assert "EDGEDEPLOY_KEYSTORE_PASSWORD" in line
    line = refused(project, "build", *flags, EDGEDEPLOY_KEYSTORE_PASSWORD="wr0ng")
    assert "wrong password" in line
    assert "wr0ng" not in line
