import hashlib
import io
import shutil
import subprocess
import tarfile

import pytest

from edgedeploy.errors import FormatError, PackageError
from edgedeploy.formats.deb import extract_deb, is_debian_version, write_deb
from edgedeploy.formats.tar import TarEntry

FIELDS = {
    "Package": "edgedeploy-x",
    "Version": "1.0-1+py3.11",
    "Architecture": "arm64",
    "Maintainer": "nobody <nobody@example.invalid>",
    "Description": "short\nlong\n\nlonger",
}
DATA = (
    TarEntry(name="usr/lib/x/run", source=b"#!/bin/sh\nexit 0\n", executable=True),
    TarEntry(name="usr/lib/x/odd", source=b"odd"),
    TarEntry(name="usr/share/doc/x/copyright", source=b"c" * 3000),
)
SCRIPTS = {"postinst": b"#!/bin/sh\n"}


def make(path, **changes):
    values = {"fields": FIELDS, "scripts": SCRIPTS, "data": DATA}
    write_deb(path, **{**values, **changes})
    return path


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return make(tmp_path_factory.mktemp("deb") / "x.deb")


def tool():
    found = shutil.which("dpkg-deb")
    if found is None:
        pytest.skip("needs dpkg-deb for another's opinion; apt install dpkg")
    return found


def test_dpkg_reads_the_control_file(package):
    shown = subprocess.run(
        [tool(), "--field", package], check=True, capture_output=True, text=True
    ).stdout
    assert "Package: edgedeploy-x\nVersion: 1.0-1+py3.11\n" in shown
    assert "Description: short\n long\n .\n longer\n" in shown
    # 17 + 3 + 3000 bytes are 2.95 KiB, rounded up.
    assert "Installed-Size: 3\n" in shown


def test_dpkg_unpacks_what_was_packed(package, tmp_path):
    subprocess.run([tool(), "-x", package, tmp_path / "data"], check=True)
    subprocess.run([tool(), "-e", package, tmp_path / "control"], check=True)
    for entry in DATA:
        path = tmp_path / "data" / entry.name
        assert path.read_bytes() == entry.source
        assert path.stat().st_mode & 0o777 == (0o755 if entry.executable else 0o644)
    assert (tmp_path / "control/postinst").stat().st_mode & 0o111
    expected = "".join(
        f"{hashlib.md5(entry.source).hexdigest()}  {entry.name}\n"
        for entry in sorted(DATA, key=lambda entry: entry.name)
    )
    assert (tmp_path / "control/md5sums").read_text() == expected


def test_folders_come_before_what_is_in_them_and_all_is_roots(package):
    stream = subprocess.run(
        [tool(), "--fsys-tarfile", package], check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        members = archive.getmembers()
    seen = set()
    for member in members:
        parent = member.name.rpartition("/")[0]
        assert parent in seen or member.name == "."
        seen.add(member.name)
        assert (member.uname, member.uid) == ("root", 0)
    assert len(members) == len(DATA) + 7


def test_same_arguments_give_the_same_bytes(package, tmp_path):
    again = make(tmp_path / "y.deb", data=tuple(reversed(DATA)))
    assert again.read_bytes() == package.read_bytes()


def test_own_reader_gives_back_what_was_written(package, tmp_path):
    found = extract_deb(package, tmp_path)
    assert found.fields["Architecture"] == "arm64"
    assert found.fields["Description"] == "short\nlong\n.\nlonger"
    assert {member.name for member in found.data} == {entry.name for entry in DATA}
    names = {member.name for member in found.control}
    assert names == {"control", "md5sums", "postinst"}


def test_reader_takes_dpkgs_own_packages(tmp_path):
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    text = "Package: y\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n"
    (tree / "DEBIAN/control").write_text(text)
    digest = hashlib.md5(b"hello").hexdigest()
    (tree / "DEBIAN/md5sums").write_text(f"{digest}  usr/hello\n")
    (tree / "usr").mkdir()
    (tree / "usr/hello").write_bytes(b"hello")
    target = tmp_path / "y.deb"
    command = [tool(), "-Zgzip", "--root-owner-group", "-b", tree, target]
    subprocess.run(command, check=True, capture_output=True)
    found = extract_deb(target, tmp_path / "out")
    assert [member.name for member in found.data] == ["usr/hello"]


@pytest.mark.parametrize("keep", [0, 4, 8, 30, 72, 100, 200, -1, -600])
def test_truncated_package_is_refused(package, tmp_path, keep):
    path = tmp_path / "x.deb"
    path.write_bytes(package.read_bytes()[:keep])
    with pytest.raises(FormatError):
        extract_deb(path, tmp_path / "out")


def damage(data, old, new):
    assert data.count(old) >= 1
    return data.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b"!<arch>", b"!<arxh>", "no ar archive"),
        (b"2.0\n", b"3.0\n", "format 2.0"),
        (b"data.tar.gz     ", b"data.tar.xz     ", "expected"),
        (b"control.tar.gz  ", b"data.tar.gz     ", "expected"),
        (b"4         `\n", b"9999999999`\n", "too large"),
        (b"4         `\n", b"-4        `\n", "malformed size"),
    ],
)
def test_malformed_package_is_refused(package, tmp_path, old, new, complaint):
    path = tmp_path / "x.deb"
    path.write_bytes(damage(package.read_bytes(), old, new))
    with pytest.raises(FormatError, match=complaint):
        extract_deb(path, tmp_path / "out")


def test_data_after_the_end_and_missing_files_are_refused(package, tmp_path):
    path = tmp_path / "x.deb"
    path.write_bytes(package.read_bytes() + b"more")
    with pytest.raises(FormatError, match="after its end"):
        extract_deb(path, tmp_path / "out")
    with pytest.raises(PackageError):
        extract_deb(tmp_path / "missing.deb", tmp_path / "out2")


@pytest.mark.parametrize(
    "fields",
    [
        {**FIELDS, "Package": "Bad_Name"},
        {**FIELDS, "Version": "v1"},
        {**FIELDS, "Bad field": "x"},
        {**FIELDS, "Depends": " "},
    ],
)
def test_bad_fields_are_refused_and_nothing_is_written(tmp_path, fields):
    with pytest.raises(PackageError):
        make(tmp_path / "x.deb", fields=fields)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_source_or_folder_leaves_nothing(tmp_path):
    missing = (TarEntry(name="a", source=tmp_path / "missing"),)
    with pytest.raises(PackageError):
        make(tmp_path / "x.deb", data=missing)
    with pytest.raises(PackageError):
        make(tmp_path / "no/such/folder/x.deb")
    with pytest.raises(PackageError, match="safe"):
        make(tmp_path / "x.deb", data=(TarEntry(name="../a", source=b""),))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "valid"),
    [("1.0-1+py3.11", True), ("0.v1~rc", True), ("", False), ("v1", False),
     ("1:2", False), ("1 0", False), ("1-", False)],
)  # fmt: skip
def test_versions_are_debians(text, valid):
    assert is_debian_version(text) is valid
