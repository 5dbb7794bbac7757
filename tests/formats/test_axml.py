import contextlib
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.errors import FormatError
from edgedeploy.formats.axml import encode_manifest, read_manifest, read_xml

FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
TEXT = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android"
    package="org.example.tiny" android:versionName="1.0" android:versionCode="7">
  <uses-sdk android:targetSdkVersion="35" android:minSdkVersion="24"/>
  <application android:label="Tiny &amp; bright 😀" android:hasCode="false"/>
</manifest>
"""
ENCODED = encode_manifest(TEXT)


def test_reader_gets_what_was_written():
    facts = read_manifest(ENCODED)
    assert facts.package == "org.example.tiny"
    assert (facts.version_code, facts.version_name) == (7, "1.0")
    assert (facts.min_sdk, facts.target_sdk) == (24, 35)
    assert facts.has_code is False
    assert facts.label == "Tiny & bright 😀"


def test_same_text_gives_the_same_bytes():
    assert encode_manifest(TEXT) == ENCODED


def test_attributes_are_sorted_by_resource_id():
    # Walked by hand, chunk by chunk, as ResourceTypes.h lays them out.
    ids, at = (), 8
    while at < len(ENCODED):
        kind, header, size = struct.unpack_from("<HHI", ENCODED, at)
        if kind == 0x0180:
            ids = struct.unpack_from(f"<{(size - 8) // 4}I", ENCODED, at + 8)
            assert list(ids) == sorted(ids)
        if kind == 0x0102:
            (count,) = struct.unpack_from("<H", ENCODED, at + header + 12)
            names = [
                struct.unpack_from("<I", ENCODED, at + header + 20 + 20 * i + 4)[0]
                for i in range(count)
            ]
            found = [ids[name] if name < len(ids) else 1 << 32 for name in names]
            assert found == sorted(found)
        at += size
    assert ids


def test_defaults_are_androids():
    facts = read_manifest(encode_manifest("<manifest package='a.b'/>"))
    assert (facts.min_sdk, facts.target_sdk, facts.has_code) == (1, 1, True)


@pytest.mark.parametrize(
    "text",
    [
        "<manifest",
        "<manifest package='a.b'>text</manifest>",
        "<manifest label='no namespace'/>",
        "<manifest xmlns:a='http://schemas.android.com/apk/res/android' a:no='1'/>",
        "<manifest xmlns:a='urn:other' a:label='1'/>",
        TEXT.replace('versionCode="7"', 'versionCode="seven"'),
        TEXT.replace('hasCode="false"', 'hasCode="no"'),
    ],
)
def test_manifests_that_cannot_be_encoded_are_refused(text):
    with pytest.raises(FormatError):
        encode_manifest(text)


def test_another_root_is_no_manifest():
    with pytest.raises(FormatError, match="root"):
        read_manifest(encode_manifest("<resources/>"))


def test_truncated_documents_are_refused():
    for length in range(len(ENCODED)):
        with pytest.raises(FormatError):
            read_xml(ENCODED[:length])


@given(data=st.data())
@settings(max_examples=500, deadline=None)
def test_flipped_bytes_raise_nothing_but_format_errors(data):
    changed = bytearray(ENCODED)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        read_manifest(bytes(changed))


def test_manifest_of_googles_tool_is_read(tmp_path):
    if shutil.which("aapt") is None or not FRAMEWORK.exists():
        pytest.skip(
            "aapt or Android's framework is missing; get them with: "
            "apt-get install aapt android-framework-res"
        )
    (tmp_path / "AndroidManifest.xml").write_text(
        TEXT.replace('android:hasCode="false"', ""), encoding="utf-8"
    )
    package = tmp_path / "a.apk"
    subprocess.run(
        [
            "aapt",
            "package",
            "-M",
            "AndroidManifest.xml",
            "-I",
            FRAMEWORK,
            "-F",
            package,
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    from edgedeploy.formats.zip import entries, read_entry

    (entry,) = [e for e in entries(package) if e.name == "AndroidManifest.xml"]
    facts = read_manifest(read_entry(package, entry))
    assert facts.package == "org.example.tiny"
    assert (facts.version_code, facts.min_sdk) == (7, 24)
    assert facts.has_code is True
