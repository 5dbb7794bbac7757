import shutil
import subprocess

import pytest

from edgedeploy.errors import FormatError
from edgedeploy.formats.proto_manifest import (
    encode_proto_manifest,
    read_proto_manifest,
)
from edgedeploy.formats.protobuf import encode_bytes, encode_number, read_fields

ANDROID = "http://schemas.android.com/apk/res/android"
TEXT = (
    f'<manifest xmlns:android="{ANDROID}" package="org.example.tiny" '
    'android:versionCode="7" android:versionName="1.0">'
    '<uses-sdk android:minSdkVersion="24"/></manifest>'
)


def test_numbers_and_bytes_are_as_the_specification_shows():
    # protobuf.dev, "Encoding": 150 in field 1, and "testing" in field 2.
    assert encode_number(1, 150) == bytes.fromhex("089601")
    assert encode_bytes(2, "testing") == bytes.fromhex("120774657374696e67")
    fields = list(read_fields(bytes.fromhex("089601120774657374696e67")))
    assert fields == [(1, 150), (2, b"testing")]


@pytest.mark.parametrize(
    "data", [b"\x08", b"\x12\x05ab", b"\x0b", b"\xff" * 11, b"\x09abc"]
)
def test_malformed_messages_are_refused(data):
    with pytest.raises(FormatError):
        list(read_fields(data))


def test_manifest_says_what_the_text_says():
    assert read_proto_manifest(encode_proto_manifest(TEXT)) == {
        "package": "org.example.tiny",
        "versionCode": "7",
        "versionName": "1.0",
    }


@pytest.mark.parametrize(
    "text",
    [
        "<manifest",
        f'<m xmlns:android="{ANDROID}" android:colour="red"/>',
        f'<m xmlns:android="{ANDROID}" android:versionCode="x"/>',
        f'<m xmlns:android="{ANDROID}" android:hasCode="maybe"/>',
        '<m xmlns:other="http://example.org" other:a="b"/>',
    ],
)
def test_manifest_that_nobody_could_read_is_refused(text):
    with pytest.raises(FormatError):
        encode_proto_manifest(text)


@pytest.mark.parametrize("data", [b"", b"\x12\x00", b"\x0a\x04\x22\x02\x0a"])
def test_message_that_is_no_manifest_is_refused(data):
    with pytest.raises(FormatError):
        read_proto_manifest(data)


def test_aapt2_reads_the_manifest(tmp_path):
    """aapt2 turns a package in protocol buffers into one in binary XML."""
    program = shutil.which("aapt2")
    if program is None:
        pytest.skip("aapt2 is missing: apt-get install aapt")
    import zipfile

    with zipfile.ZipFile(tmp_path / "proto.apk", "w") as archive:
        archive.writestr("AndroidManifest.xml", encode_proto_manifest(TEXT))
        archive.writestr("resources.pb", b"")
    made = (tmp_path / "binary.apk", tmp_path / "proto.apk")
    done = subprocess.run(
        [program, "convert", "--output-format", "binary", "-o", *map(str, made)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    from edgedeploy.formats.axml import read_manifest

    with zipfile.ZipFile(tmp_path / "binary.apk") as archive:
        facts = read_manifest(archive.read("AndroidManifest.xml"))
    assert (facts.package, facts.version_code, facts.min_sdk) == (
        "org.example.tiny",
        7,
        24,
    )
