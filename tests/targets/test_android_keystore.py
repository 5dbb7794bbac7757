import base64
import datetime
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from edgedeploy.errors import InputError, SigningError
from edgedeploy.targets.android.keystore import (
    PASSWORD_VARIABLE,
    load_debug_key,
    load_keystore,
    load_rotated_keystore,
)

KEYSTORES = Path(__file__).parent / "keystores"


def write_keystore(path, key, password=b"secret word", *, certificate=True):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(2120, 1, 1))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x",
            key,
            signed if certificate else None,
            None,
            BestAvailableEncryption(password),
        )
    )
    return path


@pytest.fixture(scope="module")
def keystore(tmp_path_factory):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return write_keystore(tmp_path_factory.mktemp("keys") / "own.p12", key)


def test_debug_key_is_made_once_and_private(tmp_path):
    folder = tmp_path / "new" / "keys"
    old = os.umask(0)
    try:
        first = load_debug_key(folder)
    finally:
        os.umask(old)
    assert load_debug_key(folder).certificate_sha256 == first.certificate_sha256
    assert stat.S_IMODE((folder / "debug.p12").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert first.private_key.key_size >= 2048
    certificate = first.certificate
    assert certificate.subject.rfc4514_string() == "CN=edgedeploy debug"
    assert certificate.not_valid_before_utc.year == 2020
    assert certificate.not_valid_after_utc.year == 2120
    assert "private_key" not in repr(first)


def test_environment_chooses_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEDEPLOY_KEYS", str(tmp_path / "chosen"))
    load_debug_key()
    assert (tmp_path / "chosen" / "debug.p12").is_file()


def test_processes_at_the_same_time_get_one_key(tmp_path):
    program = (
        "from edgedeploy.targets.android.keystore import load_debug_key\n"
        "print(load_debug_key().certificate_sha256)"
    )
    environment = {**os.environ, "EDGEDEPLOY_KEYS": str(tmp_path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    digests = {process.communicate()[0].strip() for process in running}
    assert len(digests) == 1
    assert len(digests.pop()) == 64
    assert not list(tmp_path.glob(".debug.p12-*"))


def test_debug_key_that_others_can_read_is_refused(tmp_path):
    load_debug_key(tmp_path)
    (tmp_path / "debug.p12").chmod(0o644)
    with pytest.raises(SigningError, match="mode 0644"):
        load_debug_key(tmp_path)


def test_damaged_debug_key_says_what_to_do(tmp_path):
    load_debug_key(tmp_path)
    path = tmp_path / "debug.p12"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SigningError, match="delete it"):
        load_debug_key(tmp_path)


def test_folder_that_cannot_be_made_is_a_signing_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SigningError, match="EDGEDEPLOY_KEYS"):
        load_debug_key(tmp_path / "file" / "keys")


def test_keystore_opens_with_the_password_from_the_environment(keystore, monkeypatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret word")
    key = load_keystore(keystore)
    assert key.certificate.subject.rfc4514_string() == "CN=someone"


def test_wrong_password_is_the_users_error_and_not_shown(keystore, monkeypatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, "hunter2")
    with pytest.raises(InputError, match="wrong password") as caught:
        load_keystore(keystore)
    assert "hunter2" not in str(caught.value)


def test_without_terminal_the_password_is_not_asked_for(keystore, monkeypatch):
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115
    with pytest.raises(InputError, match=PASSWORD_VARIABLE):
        load_keystore(keystore)


def test_a_terminal_is_asked(keystore, monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: "secret word")
    assert load_keystore(keystore).certificate_sha256


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "RSA"),
        (lambda: rsa.generate_private_key(65537, 1024), "2048"),
    ],
    ids=["elliptic-curve", "short"],
)
def test_keys_of_another_kind_are_a_signing_error(tmp_path, make, message):
    path = write_keystore(tmp_path / "k.p12", make())
    with pytest.raises(SigningError, match=message):
        load_keystore(path, "secret word")


def test_keystore_without_certificate_is_a_signing_error(tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    path = write_keystore(tmp_path / "k.p12", key, certificate=False)
    with pytest.raises(SigningError, match="certificate"):
        load_keystore(path, "secret word")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "PKCS#12"),
        (b"-----BEGIN", "PKCS#12"),
        (b"\xfe\xed\xfe\xed\0\0\0\2", "keytool"),
        (b"0\x03abc", "wrong password, or a damaged"),
        (bytes(2 << 20), "1 MiB"),
    ],
    ids=["empty", "pem", "jks", "der", "huge"],
)
def test_other_files_are_the_users_error(tmp_path, data, message):
    path = tmp_path / "k.p12"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        load_keystore(path, "x")


def test_missing_keystore_is_the_users_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_keystore(tmp_path / "none.p12", "x")


@pytest.fixture
def two_keys(tmp_path):
    """Two keys in one PKCS#12 file, as keytool of JDK 17 wrote it for .jks."""
    data = base64.b64decode((KEYSTORES / "two-keys.p12.txt").read_text())
    path = tmp_path / "release.jks"
    path.write_bytes(data)
    return path


def subject(key):
    assert key.certificate.public_key() == key.private_key.public_key()
    return key.certificate.subject.rfc4514_string()


@pytest.mark.parametrize("alias", ["debug", "upload", "UPLOAD"])
def test_the_named_key_of_a_pkcs12_file_signs(two_keys, monkeypatch, alias):
    monkeypatch.setenv("EDGEDEPLOY_KEY_ALIAS", alias)
    assert subject(load_keystore(two_keys, "secret")) == f"CN={alias.lower()}"


def test_several_keys_without_a_name_and_unknown_names_are_refused(
    two_keys, keystore, monkeypatch
):
    with pytest.raises(InputError, match=r"debug, upload.*EDGEDEPLOY_KEY_ALIAS"):
        load_keystore(two_keys, "secret")
    monkeypatch.setenv("EDGEDEPLOY_KEY_ALIAS", "release")
    with pytest.raises(InputError, match=r"debug, upload.*'release'"):
        load_keystore(two_keys, "secret")
    with pytest.raises(InputError, match=r"are x;.*'release'"):
        load_keystore(keystore, "secret word")


def test_a_password_of_the_key_is_not_ignored(two_keys, monkeypatch):
    monkeypatch.setenv("EDGEDEPLOY_KEY_ALIAS", "upload")
    monkeypatch.setenv("EDGEDEPLOY_KEY_PASSWORD", "another")
    with pytest.raises(InputError, match=r"'upload'.*EDGEDEPLOY_KEY_PASSWORD"):
        load_keystore(two_keys, "secret")
    monkeypatch.setenv("EDGEDEPLOY_KEY_PASSWORD", "secret")
    assert subject(load_keystore(two_keys, "secret")) == "CN=upload"


def test_one_file_can_hold_the_old_key_and_the_new_one(two_keys, monkeypatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    monkeypatch.setenv("EDGEDEPLOY_KEY_ALIAS", "upload")
    with pytest.raises(InputError, match="nothing is rotated"):
        load_rotated_keystore(two_keys, two_keys)
    monkeypatch.setenv("EDGEDEPLOY_OLD_KEY_ALIAS", "debug")
    key = load_rotated_keystore(two_keys, two_keys)
    assert (subject(key), subject(key.previous)) == ("CN=upload", "CN=debug")
