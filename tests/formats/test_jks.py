"""Java keystores as keytool writes them, and damaged ones."""

import hashlib
import shutil
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.jks import MAGIC, WrongPassword, read_jks, recover_key


def seal(content, password="secret"):
    """A keystore's content with the digest that belongs to it."""
    secret = password.encode("utf-16-be")
    return content + hashlib.sha1(secret + b"Mighty Aphrodite" + content).digest()


def make(path, *aliases, key_password="secret"):
    """Have keytool make a JKS keystore."""
    if shutil.which("keytool") is None:
        pytest.skip("keytool is missing: apt-get install default-jre-headless")
    for alias in aliases:
        command = ["keytool", "-genkeypair", "-keystore", path, "-storetype", "JKS"]
        command += ["-storepass", "secret", "-keypass", key_password, "-alias", alias]
        command += ["-dname", f"CN={alias}", "-keyalg", "RSA", "-keysize", "2048"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "JKS not found" in done.stdout:
            pytest.skip(f"this keytool makes no JKS: {done.stdout[-200:]}")
        assert done.returncode == 0, done.stdout + done.stderr
    return path


@pytest.fixture(scope="module")
def keystore(tmp_path_factory):
    return make(tmp_path_factory.mktemp("jks") / "release.jks", "release")


def test_keytool_s_key_belongs_to_its_certificate(keystore):
    from cryptography.hazmat.primitives.serialization import load_der_private_key
    from cryptography.x509 import load_der_x509_certificate

    (entry,) = read_jks(keystore.read_bytes(), "secret")
    key = load_der_private_key(recover_key(entry, "secret"), None)
    certificate = load_der_x509_certificate(entry.certificates[0])
    assert entry.alias == "release"
    assert certificate.public_key() == key.public_key()


def test_an_apk_is_signed_with_it(keystore, tmp_path, monkeypatch):
    from hand_made_payloads import make_request

    from edgedeploy.formats.apksig import verify
    from edgedeploy.targets.android.keystore import load_keystore
    from edgedeploy.targets.android.kinds import KINDS

    monkeypatch.setenv("EDGEDEPLOY_KEYSTORE_PASSWORD", "secret")
    key = load_keystore(keystore)
    KINDS["apk"].write(tmp_path, make_request(key=key))
    report = verify(tmp_path / "colours-assets.apk")
    assert report.certificate_sha256 == key.certificate_sha256
    monkeypatch.setenv("EDGEDEPLOY_KEYSTORE_PASSWORD", "wrong")
    with pytest.raises(InputError, match="wrong password"):
        load_keystore(keystore)


def test_one_of_several_keys_is_named(tmp_path, monkeypatch):
    from edgedeploy.targets.android.keystore import load_keystore

    path = make(tmp_path / "two.jks", "first", "second", key_password="other1")
    with pytest.raises(InputError, match=r"first, second.*EDGEDEPLOY_KEY_ALIAS"):
        load_keystore(path, "secret")
    monkeypatch.setenv("EDGEDEPLOY_KEY_ALIAS", "second")
    with pytest.raises(InputError, match="EDGEDEPLOY_KEY_PASSWORD"):
        load_keystore(path, "secret")
    monkeypatch.setenv("EDGEDEPLOY_KEY_PASSWORD", "other1")
    assert (
        "second" in load_keystore(path, "secret").certificate.subject.rfc4514_string()
    )


def test_any_changed_byte_is_a_wrong_password(keystore):
    data = bytearray(keystore.read_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(WrongPassword):
        read_jks(bytes(data), "secret")


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_whatever_is_sealed_is_read_or_refused(content):
    head = MAGIC + struct.pack(">I", 2)
    try:
        entries = read_jks(seal(head + content), "secret")
    except FormatError:
        return
    for entry in entries:
        with pytest.raises(FormatError):
            recover_key(entry, "secret")


@pytest.mark.parametrize("data", [b"", MAGIC, b"PK\x03\x04" + bytes(60)])
def test_what_is_no_keystore_is_refused(data):
    with pytest.raises(FormatError):
        read_jks(data, "secret")
