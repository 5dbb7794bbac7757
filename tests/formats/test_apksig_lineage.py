"""Rotated signing keys, ours and apksigner's."""

import shutil
import subprocess

import pytest
from hand_made_payloads import debug_key, make_request

from edgedeploy.errors import FormatError
from edgedeploy.formats.apksig import SigningKey, verify
from edgedeploy.formats.apksig.lineage import read_lineage, write_lineage
from edgedeploy.targets.android.keystore import load_debug_key
from edgedeploy.targets.android.kinds import KINDS


@pytest.fixture(scope="module")
def new_key(tmp_path_factory):
    made = load_debug_key(tmp_path_factory.mktemp("new"))
    return SigningKey(
        private_key=made.private_key,
        certificate=made.certificate,
        previous=debug_key(),
    )


@pytest.fixture(scope="module")
def apk(new_key, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rotated")
    KINDS["apk"].write(folder, make_request(key=new_key))
    return folder / "colours-assets.apk"


def apksigner(*words):
    if shutil.which("apksigner") is None:
        pytest.skip("apksigner is missing: apt-get install apksigner")
    return subprocess.run(
        ["apksigner", *words], capture_output=True, text=True, check=False
    )


def test_the_old_certificate_leads_to_the_new_one(new_key):
    data = write_lineage(new_key.previous, new_key)
    assert read_lineage(data) == (
        new_key.previous.certificate_sha256,
        new_key.certificate_sha256,
    )
    assert data == write_lineage(new_key.previous, new_key)


def test_a_changed_or_cut_proof_is_noticed(new_key):
    good = write_lineage(new_key.previous, new_key)
    # Nobody vouches for the first certificate; the second one's node begins behind it.
    second = 8 + int.from_bytes(good[4:8], "little")
    signed = int.from_bytes(good[second + 4 : second + 8], "little")
    flags = second + 8 + signed
    for position in (*range(second, flags, 7), *range(flags + 8, len(good), 7)):
        bad = bytearray(good)
        bad[position] ^= 1
        with pytest.raises(FormatError):
            read_lineage(bytes(bad))
    for length in (0, 3, 4, 100, second + 1, flags, len(good) - 1):
        with pytest.raises(FormatError):
            read_lineage(good[:length])


def test_a_rotated_package_holds_with_both_keys(apk, new_key):
    report = verify(apk)
    assert (report.schemes, report.problems) == ((1, 2, 3), ())
    assert report.certificate_sha256 == new_key.certificate_sha256


def test_without_a_proof_two_keys_are_a_problem(new_key, tmp_path):
    stranger = load_debug_key(tmp_path / "keys")
    lone = SigningKey(private_key=new_key.private_key, certificate=new_key.certificate)
    mixed = SigningKey(
        private_key=lone.private_key, certificate=lone.certificate, previous=stranger
    )
    KINDS["apk"].write(tmp_path, make_request(key=mixed))
    path = tmp_path / "colours-assets.apk"
    assert verify(path).verified
    data = path.read_bytes()
    proof = write_lineage(stranger, mixed)
    assert proof in data
    path.write_bytes(data.replace(proof, bytes(len(proof))))
    assert not verify(path).verified


def test_apksigner_accepts_the_rotation(apk, new_key):
    done = apksigner("verify", "--verbose", "--print-certs", str(apk))
    assert done.returncode == 0, done.stderr
    done = apksigner("lineage", "--in", str(apk), "--print-certs", "--verbose")
    assert done.returncode == 0, done.stderr
    assert new_key.certificate_sha256 in done.stdout
    assert new_key.previous.certificate_sha256 in done.stdout


@pytest.mark.slow
def test_a_package_that_apksigner_rotated_holds(apk, tmp_path):
    keys = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.p12"
        command = ["keytool", "-genkeypair", "-keystore", path, "-storepass", "secret"]
        command += ["-storetype", "PKCS12", "-alias", "me", "-dname", f"CN={name}"]
        command += ["-keyalg", "RSA", "-keysize", "2048"]
        if shutil.which("keytool") is None:
            pytest.skip("keytool is missing: apt-get install default-jre-headless")
        subprocess.run(command, check=True, capture_output=True)
        keys.append(str(path))
    secret = ("--ks-pass", "pass:secret")
    proof, other = str(tmp_path / "proof"), str(tmp_path / "other.apk")
    done = apksigner(
        *("rotate", "--out", proof),
        *("--old-signer", "--ks", keys[0], *secret),
        *("--new-signer", "--ks", keys[1], *secret),
    )
    assert done.returncode == 0, done.stderr
    done = apksigner(
        *("sign", "--lineage", proof, "--ks", keys[0], *secret),
        *("--next-signer", "--ks", keys[1], *secret, "--out", other, str(apk)),
    )
    assert done.returncode == 0, done.stderr
    report = verify(tmp_path / "other.apk")
    assert (report.schemes, report.problems) == ((1, 2, 3), ())
