import datetime
import io
import random
import shutil
import struct
import subprocess
import zipfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from edgedeploy.errors import InputError
from edgedeploy.formats.apksig import SigningKey, sign_v1, signing_block, verify
from edgedeploy.formats.axml import encode_manifest
from edgedeploy.formats.zip import ZipWriter

MANIFEST = encode_manifest(
    "<manifest package='org.example.tiny' "
    "xmlns:android='http://schemas.android.com/apk/res/android'>"
    "<uses-sdk android:minSdkVersion='24'/></manifest>"
)
LONG_NAME = "assets/" + "ä" * 60 + ".txt"


def make_key(serial):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(2120, 1, 1))
        .sign(key, hashes.SHA256())
    )
    return SigningKey(private_key=key, certificate=certificate)


def make_apk(key, *, v1_key=None, content=b"weights" * 99, block=True):
    stream = io.BytesIO()
    writer = ZipWriter(stream)
    writer.add("AndroidManifest.xml", MANIFEST)
    writer.add("assets/a.tflite", content, stored=True, alignment=16)
    writer.add(LONG_NAME, b"text")
    digests = [(entry.name, entry.sha256) for entry in writer.written]
    for name, data in sign_v1(digests, v1_key or key):
        writer.add(name, data)
    end = writer.pad(16)
    directory = writer.central_directory()
    signed = b""
    if block:
        signed = signing_block(stream, end, directory, writer.end_record(end), key)
    stream.seek(end)
    stream.write(signed + directory + writer.end_record(end + len(signed)))
    return stream.getvalue()


def pairs_of(apk):
    """(id, first byte, past the last byte) of each pair, read by hand."""
    directory = struct.unpack_from("<I", apk, len(apk) - 6)[0]
    size = struct.unpack_from("<Q", apk, directory - 24)[0]
    at, found = directory - size, []
    while at < directory - 24:
        length, identifier = struct.unpack_from("<QI", apk, at)
        found.append((identifier, at, at + 8 + length))
        at += 8 + length
    return found


@pytest.fixture(scope="module")
def key():
    return make_key(1)


@pytest.fixture(scope="module")
def apk(key):
    return make_apk(key)


def test_signed_package_verifies_with_all_schemes(apk, key):
    report = verify(apk)
    assert report.problems == ()
    assert report.schemes == (1, 2, 3)
    assert report.certificate_sha256 == key.certificate_sha256
    assert report.unknown_blocks == ()
    assert report.verified


def test_same_key_gives_the_same_bytes(apk, key):
    assert make_apk(key) == apk


def test_block_ends_on_a_page(apk):
    directory = struct.unpack_from("<I", apk, len(apk) - 6)[0]
    first = min(start for _, start, _ in pairs_of(apk)) - 8
    assert (directory - first) % 4096 == 0
    assert apk[directory - 16 : directory] == b"APK Sig Block 42"


def test_content_of_several_chunks_verifies(key):
    apk = make_apk(key, content=random.Random(0).randbytes(2_500_000))
    assert verify(apk).verified
    changed = bytearray(apk)
    changed[1_500_000] ^= 1
    report = verify(bytes(changed))
    assert not report.verified
    assert report.schemes == ()


def test_every_flipped_byte_of_the_structures_is_found(apk):
    pairs = pairs_of(apk)
    start = pairs[0][1] - 8
    (_, padding, padding_end) = pairs[-1]
    places = [*range(start, padding + 12), *range(padding_end, len(apk))]
    # Local headers with their names, and the signed files.
    places += range(0, start, 3)
    places += random.Random(1).sample(range(padding + 12, padding_end), 100)
    missed = []
    for at in places:
        changed = bytearray(apk)
        changed[at] ^= 1 << (at % 8)
        report = verify(bytes(changed))
        if report.verified and not report.unknown_blocks:
            missed.append(at)
    assert missed == []
    assert len(places) > 3000


def test_stripping_a_scheme_is_found(apk):
    for identifier, start, _ in pairs_of(apk)[:2]:
        changed = bytearray(apk)
        struct.pack_into("<I", changed, start + 8, 0x11111111)
        report = verify(bytes(changed))
        assert any("removed" in problem for problem in report.problems), identifier
        assert report.unknown_blocks == (0x11111111,)


def test_stripping_the_whole_block_is_found(key):
    report = verify(make_apk(key, block=False))
    assert report.schemes == (1,)
    assert not report.verified
    assert len(report.problems) == 2


def test_another_blocks_presence_is_listed(apk):
    changed = bytearray(apk)
    (_, start, end) = pairs_of(apk)[-1]
    # Split the padding: a foreign pair of 20 bytes, then the rest.
    struct.pack_into("<QI", changed, start, 12, 0x2146444E)
    struct.pack_into("<QI", changed, start + 20, end - start - 28, 0x42726577)
    report = verify(bytes(changed))
    assert report.verified
    assert report.unknown_blocks == (0x2146444E,)


def test_schemes_of_different_signers_are_found(key):
    report = verify(make_apk(key, v1_key=make_key(2)))
    assert not report.verified
    assert any("different certificates" in problem for problem in report.problems)


def test_a_replaced_key_is_found_by_the_certificate(apk):
    other = make_key(3)
    report = verify(make_apk(other))
    assert report.verified
    assert report.certificate_sha256 == other.certificate_sha256
    assert report.certificate_sha256 != verify(apk).certificate_sha256


def test_unsigned_files_and_other_bytes_are_problems(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", "b")
    assert verify(stream.getvalue()).problems == ("the package is not signed",)
    for data in (b"", b"PK", bytes(5000)):
        assert verify(data).problems[0].startswith("malformed package")
    with pytest.raises(InputError):
        verify(tmp_path / "none.apk")


def test_an_entry_added_later_is_found(key):
    data = io.BytesIO(make_apk(key, block=False))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("assets/evil", "x")
    report = verify(data.getvalue())
    assert any("'assets/evil' is not signed" in p for p in report.problems)


def test_manifest_lines_are_at_most_72_bytes(key):
    files = dict(sign_v1([(LONG_NAME, bytes(32))], key))
    for name in ("META-INF/MANIFEST.MF", "META-INF/CERT.SF"):
        assert all(len(line) <= 70 for line in files[name].split(b"\r\n"))


@pytest.mark.parametrize(
    "options",
    [[], ["--min-sdk-version", "21", "--max-sdk-version", "23"]],
    ids=["all", "v1-alone"],
)
def test_googles_verifier_accepts_the_package(tmp_path, apk, options):
    if shutil.which("apksigner") is None:
        pytest.skip("apksigner is missing; get it with: apt-get install apksigner")
    path = tmp_path / "a.apk"
    path.write_bytes(apk)
    result = subprocess.run(
        ["apksigner", "verify", "--verbose", *options, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WARNING" not in result.stdout + result.stderr


def test_a_package_of_googles_signer_verifies(tmp_path, apk, key):
    if shutil.which("apksigner") is None:
        pytest.skip("apksigner is missing; get it with: apt-get install apksigner")
    from cryptography.hazmat.primitives import serialization

    (tmp_path / "a.apk").write_bytes(apk)
    (tmp_path / "key.pk8").write_bytes(
        key.private_key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (tmp_path / "cert.der").write_bytes(key.certificate_der)
    options = ["--v4-signing-enabled=false", "--min-sdk-version=21"]
    options += ["--key=key.pk8", "--cert=cert.der", "--out=b.apk"]
    subprocess.run(
        ["apksigner", "sign", *options, "a.apk"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    report = verify(tmp_path / "b.apk")
    assert report.problems == ()
    assert report.schemes == (1, 2, 3)
    assert report.certificate_sha256 == key.certificate_sha256
