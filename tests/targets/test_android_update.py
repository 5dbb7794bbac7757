"""Updates over the air, as they are written and checked here."""

import hashlib
import shutil
import subprocess
import zipfile

import pytest
from bad_updates import rewrite
from hand_made_payloads import hand_made_payload, make_request

from edgedeploy.errors import InputError
from edgedeploy.targets.android.update import KEY, check_update, write_update

NAME = "colours-update.zip"


def test_an_update_lists_every_file_it_brings(update):
    with zipfile.ZipFile(update) as archive:
        lines = archive.read("update.txt").decode("ascii").splitlines()
        assert lines[:5] == [
            "edgedeploy-update 1",
            "model colours",
            "version 7",
            "contract 1",
            "min-app-version 5",
        ]
        listed = [line.split(" ") for line in lines[5:]]
        for word, digest, size, name in listed:
            data = archive.read(name)
            found = ("file", hashlib.sha256(data).hexdigest(), str(len(data)))
            assert (word, digest, size) == found
        names = {line[3] for line in listed} | {"update.txt", "update.sig"}
        assert set(archive.namelist()) == names
    assert [check.passed for check in check_update(update)] == [True, True]


def test_openssl_accepts_the_signature(update, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: apt-get install openssl")
    with zipfile.ZipFile(update) as archive:
        archive.extractall(tmp_path)
    command = ["openssl", "dgst", "-sha256", "-keyform", "DER"]
    command += ["-verify", update.with_name(KEY), "-signature", tmp_path / "update.sig"]
    done = subprocess.run(
        [*command, tmp_path / "update.txt"], capture_output=True, text=True, check=False
    )
    assert "Verified OK" in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: e.pop("update.sig"), "lacks update.sig"),
        (lambda e: e.pop("labels.txt"), "labels.txt is missing"),
        (lambda e: e.update({"labels.txt": b"x" * 20}), "labels.txt"),
        (lambda e: e.update({"../evil": b""}), "is not signed"),
        (
            lambda e: e.update(
                {"update.txt": e["update.txt"].replace(b"version 7", b"version 9")}
            ),
            "not signed with",
        ),
    ],
)
def test_a_changed_update_fails_here_too(update, tmp_path, change, said):
    path = rewrite(update, tmp_path / NAME, change)
    shutil.copy(update.with_name(KEY), tmp_path)
    failed = [check.detail for check in check_update(path) if check.passed is False]
    assert any(said in detail for detail in failed), failed


def test_what_no_app_could_take_is_refused(tmp_path):
    with pytest.raises(InputError, match="min-app-version"):
        write_update(tmp_path, make_request(min_app_version=-1))
    two = (hand_made_payload(), hand_made_payload("colours_two"))
    with pytest.raises(InputError, match="one model"):
        write_update(tmp_path, make_request(*two))
    assert not any(tmp_path.iterdir())
