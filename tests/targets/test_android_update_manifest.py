"""The verifier of updates refuses what UpdateManifest.kt refuses."""

import shutil

import pytest
from bad_updates import BAD_TEXTS, write_signed

from edgedeploy.cli import main
from edgedeploy.errors import FormatError
from edgedeploy.targets.android.update import KEY, check_update
from edgedeploy.targets.android.update_manifest import UpdateFile, parse_update

NAME = "colours-update.zip"


def test_a_text_is_read_line_by_line():
    manifest = parse_update(
        b"edgedeploy-update 1\nmodel m\nversion 999999999999999999\ncontract 1\n"
        b"min-app-version 0\nfile " + b"0" * 64 + b" 12 models/a.tflite\n"
    )
    assert (manifest.model, manifest.version) == ("m", 999_999_999_999_999_999)
    assert (manifest.contract, manifest.min_app_version) == (1, 0)
    file = UpdateFile(name="models/a.tflite", sha256="0" * 64, size_bytes=12)
    assert manifest.files == (file,)


def test_a_text_cut_anywhere_is_refused():
    text = b"edgedeploy-update 1\nmodel m\nversion 1\ncontract 1\nmin-app-version 0\n"
    text += b"file " + b"0" * 64 + b" 12 l"
    assert parse_update(text).files[0].name == "l"
    for length in range(len(text)):
        with pytest.raises(FormatError):
            parse_update(text[:length])


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_signed_text_that_no_app_takes_fails(update, tmp_path, name):
    path = write_signed(update, tmp_path / NAME, BAD_TEXTS[name])
    shutil.copy(update.with_name(KEY), tmp_path)
    signature, files = check_update(path)
    assert (signature.passed, files.passed) == (True, False)


def test_the_command_refuses_signed_nonsense(update, tmp_path, capsys):
    path = write_signed(update, tmp_path / NAME, BAD_TEXTS["nonsense"])
    shutil.copy(update.with_name(KEY), tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["verify", "--path", str(path)])
    assert end.value.code == 1
    assert "format 1" in capsys.readouterr().out


def damage(key):
    return key[: len(key) // 2]


def take_pkcs1(key):
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_der_public_key,
    )

    return load_der_public_key(key).public_bytes(Encoding.DER, PublicFormat.PKCS1)


def take_curve(key):
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "change", [damage, take_pkcs1, take_curve, lambda key: b"", lambda key: key + b"x"]
)
def test_a_key_that_no_app_could_trust_fails(update, tmp_path, change):
    path = shutil.copy(update, tmp_path / NAME)
    (tmp_path / KEY).write_bytes(change(update.with_name(KEY).read_bytes()))
    signature, _ = check_update(path)
    assert (signature.passed, "RSA key" in signature.detail) == (False, True)


def test_an_update_without_its_key_is_not_taken_on_trust(update, tmp_path):
    path = shutil.copy(update, tmp_path / NAME)
    signature, _ = check_update(path)
    assert (signature.passed, "beside" in signature.detail) == (False, True)
    (tmp_path / KEY).mkdir()
    signature, _ = check_update(path)
    assert (signature.passed, "cannot be read" in signature.detail) == (False, True)
