"""`verify` on what somebody changed on the way."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import zipfile

import pytest

PAGE = 4096


def model_entry(path, recipe="int8"):
    with zipfile.ZipFile(path) as archive:
        return archive.getinfo(f"assets/tiny/models/{recipe}.tflite")


def data_offset(path, info):
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        lengths = file.read(4)
    name, extra = (int.from_bytes(lengths[at : at + 2], "little") for at in (0, 2))
    return info.header_offset + 30 + name + extra


def rewrite(path, change=lambda name, data: data, *, leave_out=(), method=None):
    """Write the archive anew, as somebody with a ZIP program would."""
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in members:
            if info.filename.startswith(tuple(leave_out) or ("\0",)):
                continue
            kind = method if method is not None else info.compress_type
            archive.writestr(
                info.filename, change(info.filename, data), compress_type=kind
            )


def flip_model(path):
    info = model_entry(path)
    data = bytearray(path.read_bytes())
    data[data_offset(path, info) + info.file_size // 2] ^= 1
    path.write_bytes(data)


def strip_signatures(path):
    rewrite(path, leave_out=("META-INF/",))


def compress_model(path):
    rewrite(path, method=zipfile.ZIP_DEFLATED)


def shift_labels(path):
    """Put background before the labels, the field's best-known mistake."""

    def change(name, data):
        return b"background\n" + data if name.endswith("labels.txt") else data

    rewrite(path, change)


def misalign_model(path):
    """Leave the model where not even zipalign's four bytes divide its offset."""
    rewrite(path)
    behind = data_offset(path, model_entry(path))
    # Stored, so that its length is known: a compressed one's would be chance.
    name = "assets/before"
    length = (1 - behind - 30 - len(name)) % 4
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x" * length)
        for info, data in members:
            archive.writestr(info.filename, data, compress_type=info.compress_type)
    assert data_offset(path, model_entry(path)) % 4 == 1


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (flip_model, "signatures"),
        (strip_signatures, "signatures"),
        (compress_model, "compressed"),
        (shift_labels, "labels"),
        (misalign_model, "can be mapped"),
        (cut, "zip"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_tampered_app_is_refused_and_the_reason_named(built, call, tamper, named):
    tamper(built.apk)
    code, out, err = call(built, "verify", "--path", str(built.apk), COLUMNS="400")
    assert code == 1
    assert err.count("\n") == 1
    assert any(line.startswith("✗") and named in line for line in out.splitlines()), out


def test_untouched_deliverables_pass(built, call):
    for path in (built.apk, built.bundle()):
        code, out, _ = call(built, "verify", "--path", str(path))
        assert code == 0
        assert "✗" not in out


def test_android_s_own_verifier_agrees_about_a_flipped_byte(built):
    program = shutil.which("apksigner")
    if program is None:
        pytest.skip("apksigner is missing: apt-get install apksigner")
    good = subprocess.run([program, "verify", built.apk], check=False)
    flip_model(built.apk)
    bad = subprocess.run(
        [program, "verify", built.apk], check=False, capture_output=True
    )
    assert (good.returncode == 0, bad.returncode == 0) == (True, False)


def test_folder_with_a_foreign_name_is_no_failure_in_a_plain_locale(finished, tmp_path):
    if shutil.which("apksigner") is None:
        pytest.skip("apksigner is missing: apt-get install apksigner")
    work = finished.copy(tmp_path / "mit Löchern")
    done = work.run("verify", "--path", str(work.apk), LANG="C", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "apksigner: accepts v2, v3" in " ".join(done.stdout.split())


def test_stranger_s_archive_named_apk_is_refused(project, call):
    path = project.root / "stranger.apk"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    code, out, err = call(project, "verify", "--path", "stranger.apk", "--json")
    assert code == 1
    assert '"passed": false' in out
    assert "Traceback" not in out + err


def test_bomb_named_apk_is_refused_without_unpacking_it(project, call):
    path = project.root / "bomb.apk"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("assets/x/manifest.json", bytes(300 << 20))
        # What makes it look like a payload that is worth unpacking.
        contract = {"schema": 1, "pipeline": {}, "variants": {}}
        archive.writestr("assets/x/contract.json", json.dumps(contract))
        archive.writestr("assets/x/models/a.tflite", bytes(1 << 10))
    code, out, err = call(project, "verify", "--path", "bomb.apk", COLUMNS="400")
    assert code == 1
    assert "would unpack to 300 MiB" in out
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"PK\x03\x04" * 9, b"PK\x05\x06" + bytes(18), b"\x1f\x8b\x08" * 5],
)
@pytest.mark.parametrize("name", ["garbage.apk", "garbage.tar.gz"])
def test_garbage_is_refused_in_one_line(project, call, name, data):
    (project.root / name).write_bytes(data)
    code, out, err = call(project, "verify", "--path", name)
    assert code == 1
    assert err.count("\n") == 1
    assert "Traceback" not in out + err


def test_flipped_byte_of_a_bundle_is_noticed(built, call):
    data = bytearray(built.bundle().read_bytes())
    data[len(data) // 2] ^= 1
    built.bundle().write_bytes(data)
    code, out, _ = call(built, "verify", "--path", str(built.bundle()))
    assert code == 1
    assert "✗" in out


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("models/int8.tflite", "models/int8.tflite"),
        ("labels.txt", "labels.txt"),
        ("install.sh", "install.sh"),
        ("ondevice/classify.py", "ondevice/classify.py"),
    ],
)
def test_bundle_with_another_member_names_it(built, call, name, named):
    repack(built.bundle(), {name: lambda data: data + b"\n"})
    code, out, _ = call(built, "verify", "--path", str(built.bundle()), COLUMNS="400")
    assert code == 1
    assert any(line.startswith("✗") and named in line for line in out.splitlines())


def test_bundle_with_fitting_sums_but_another_model_is_noticed(built, call):
    """The sums can be mended by whoever changes a file; the manifest then differs."""
    changed = {}

    def flip(data):
        other = bytearray(data)
        other[len(other) // 2] ^= 0x10
        changed["sha256"] = hashlib.sha256(bytes(other)).hexdigest()
        changed["was"] = hashlib.sha256(data).hexdigest()
        return bytes(other)

    def mend(data):
        was, now = changed["was"].encode(), changed["sha256"].encode()
        return data.replace(was, now)

    repack(built.bundle(), {"models/int8.tflite": flip})
    repack(built.bundle(), {"SHA256SUMS": mend})
    code, out, _ = call(built, "verify", "--path", str(built.bundle()))
    assert code == 1
    assert "✗" in out


def repack(path, changes):
    with tarfile.open(path) as archive:
        members = [
            (info, archive.extractfile(info).read() if info.isfile() else None)
            for info in archive.getmembers()
        ]
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            data = content
            name = info.name.partition("/")[2]
            if data is not None and name in changes:
                data = changes[name](data)
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if data is not None else None)
