import gzip
import hashlib
import io
import os
import random
import stat
import subprocess
import tarfile

import pytest

from edgedeploy.errors import FormatError, PackageError
from edgedeploy.formats.tar import TarEntry, extract_tar_gz, write_tar_gz

ENTRIES = (
    TarEntry(name="top/b.bin", source=bytes(1000)),
    TarEntry(name="top/a.sh", source=b"#!/bin/sh\n", executable=True),
    TarEntry(name="top/empty", source=b""),
    TarEntry(name=f"top/{'long/' * 25}name", source=b"x" * 512),
)


def archive_of(tmp_path, add, name="hostile.tar.gz", **options):
    path = tmp_path / name
    with tarfile.open(path, "w:gz", format=tarfile.USTAR_FORMAT, **options) as archive:
        add(archive)
    return path


def member(name, **fields):
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def test_bytes_do_not_depend_on_order_umask_or_timezone(tmp_path, monkeypatch):
    first, second = tmp_path / "1.tar.gz", tmp_path / "2.tar.gz"
    write_tar_gz(first, ENTRIES)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    before = os.umask(0o077)
    try:
        write_tar_gz(second, ENTRIES[::-1])
    finally:
        os.umask(before)
    assert first.read_bytes() == second.read_bytes()
    assert stat.S_IMODE(second.stat().st_mode) == 0o644


def test_system_tar_reads_what_was_written(tmp_path):
    path = tmp_path / "a.tar.gz"
    write_tar_gz(path, ENTRIES)
    subprocess.run(["tar", "-xzf", path, "-C", tmp_path], check=True)
    for entry in ENTRIES:
        found = tmp_path / entry.name
        assert found.read_bytes() == entry.source
        assert bool(found.stat().st_mode & 0o100) is entry.executable
        assert found.stat().st_mtime == 315_532_800
    with tarfile.open(path) as archive:
        assert {(m.uid, m.gid, m.uname, m.gname) for m in archive} == {(0, 0, "", "")}


def test_extract_returns_what_was_written(tmp_path):
    path, folder = tmp_path / "a.tar.gz", tmp_path / "out"
    write_tar_gz(path, ENTRIES)
    members = extract_tar_gz(path, folder)
    assert [m.name for m in members] == sorted(entry.name for entry in ENTRIES)
    assert (folder / "top/b.bin").read_bytes() == bytes(1000)
    assert (folder / "top/a.sh").stat().st_mode & 0o777 == 0o755


def test_archive_of_system_tar_with_folders_is_read(tmp_path):
    (tmp_path / "in/top/sub").mkdir(parents=True)
    (tmp_path / "in/top/sub/file").write_bytes(b"hello")
    path = tmp_path / "gnu.tar.gz"
    subprocess.run(["tar", "-czf", path, "-C", tmp_path / "in", "top"], check=True)
    assert [m.name for m in extract_tar_gz(path, tmp_path / "out")] == ["top/sub/file"]


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../b", "a\\b", "a//b"])
def test_escaping_name_is_refused(tmp_path, name):
    with pytest.raises(PackageError):
        write_tar_gz(tmp_path / "a.tar.gz", [TarEntry(name=name, source=b"")])
    path = archive_of(tmp_path, lambda a: a.addfile(member(name)))
    with pytest.raises(FormatError):
        extract_tar_gz(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_link_or_device_is_refused(tmp_path, kind):
    info = member("x", type=kind, linkname="/etc/passwd")
    path = archive_of(tmp_path, lambda a: a.addfile(info))
    with pytest.raises(FormatError, match="no plain file"):
        extract_tar_gz(path, tmp_path / "out")


def test_double_entry_and_file_below_a_file_are_refused(tmp_path):
    for names in (("a", "a"), ("a", "a/b")):
        path = archive_of(
            tmp_path, lambda a, n=names: [a.addfile(member(x)) for x in n]
        )
        with pytest.raises(FormatError, match="more than once"):
            extract_tar_gz(path, tmp_path / "-".join(names).replace("/", ""))
    with pytest.raises(PackageError, match="twice"):
        write_tar_gz(tmp_path / "b.tar.gz", [TarEntry(name="a", source=b"")] * 2)


def test_extended_headers_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "pax.tar.gz"
    info = member("ä" * 200, pax_headers={"comment": "c" * 10_000_000})
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    with pytest.raises(FormatError):
        extract_tar_gz(path, tmp_path / "out")


def test_bomb_is_refused_without_unpacking(tmp_path):
    info = member("bomb", size=7 << 30)
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
    with pytest.raises(FormatError, match="unpacks to over"):
        extract_tar_gz(path, tmp_path / "out")


def test_every_truncation_and_flipped_byte_is_a_format_error_or_harmless(tmp_path):
    good = tmp_path / "good.tar.gz"
    write_tar_gz(good, ENTRIES)
    data = good.read_bytes()
    rng = random.Random(5)
    cases = [data[:cut] for cut in range(len(data))]
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << rng.randrange(8)
        cases.append(bytes(flipped))
    expected = {entry.name: entry.source for entry in ENTRIES}
    path, accepted = tmp_path / "bad.tar.gz", 0
    for number, case in enumerate(cases):
        path.write_bytes(case)
        folder = tmp_path / f"out{number}"
        try:
            members = extract_tar_gz(path, folder)
        except FormatError:
            continue
        accepted += 1
        assert {m.name: (folder / m.name).read_bytes() for m in members} == expected
    # Only gzip's own header has bits (time, system) that no checksum covers.
    assert accepted <= 10


@pytest.mark.parametrize(
    "data", [b"", b"not gzip at all", gzip.compress(b"not tar", mtime=0)]
)
def test_garbage_is_a_format_error(tmp_path, data):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(data)
    with pytest.raises(FormatError):
        extract_tar_gz(path, tmp_path / "out")


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"old")
    missing = TarEntry(name="x", source=tmp_path / "missing")
    with pytest.raises(PackageError, match=r"a\.tar\.gz"):
        write_tar_gz(path, [missing])
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]


def test_content_survives_for_files_given_by_path(tmp_path):
    source = tmp_path / "model"
    source.write_bytes(random.Random(1).randbytes(3_000_000))
    path = tmp_path / "a.tar.gz"
    write_tar_gz(path, [TarEntry(name="models/m.tflite", source=source)])
    with tarfile.open(path) as archive:
        content = archive.extractfile("models/m.tflite")
        assert content is not None
        digest = hashlib.sha256(io.BytesIO(content.read()).getvalue()).hexdigest()
    assert digest == hashlib.sha256(source.read_bytes()).hexdigest()
