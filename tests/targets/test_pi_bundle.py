import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from empty_wheels import make_wheelhouse

from edgedeploy.errors import PackageError
from edgedeploy.formats.tar import TarEntry, write_tar_gz
from edgedeploy.targets.raspberry_pi.bundle import write_bundle
from edgedeploy.targets.raspberry_pi.check import check_bundle

TOP = "tiny-pi-3.11-aarch64"


@pytest.fixture(scope="module")
def archive(tiny_payload, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    path = folder / "tiny.tar.gz"
    write_bundle(
        path,
        payload=tiny_payload,
        wheelhouse=make_wheelhouse(folder),
        python="3.11",
        arch="aarch64",
    )
    return path


@pytest.fixture
def unpacked(archive, tmp_path):
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path], check=True)
    return tmp_path / TOP


def repack(folder, path, *, fix_sums=True):
    """Pack a folder again, with sums that agree: what a careful forger would do."""
    if fix_sums:
        update_sums(folder)
    entries = [
        TarEntry(
            name=f"{folder.name}/{file.relative_to(folder).as_posix()}",
            source=file,
            executable=os.access(file, os.X_OK) and bool(file.stat().st_mode & 0o100),
        )
        for file in folder.rglob("*")
        if file.is_file()
    ]
    write_tar_gz(path, entries)
    return path


def update_sums(folder):
    sums = folder / "SHA256SUMS"
    lines = []
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file != sums:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            lines.append(f"{digest}  {file.relative_to(folder).as_posix()}\n")
    sums.write_text("".join(lines))


def failures(path):
    return {check.name: check.detail for check in check_bundle(path).problems}


def test_bundle_has_what_it_promises(unpacked):
    names = {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*")}
    assert {
        "install.sh", "uninstall.sh", "README.txt", "requirements.txt", "SHA256SUMS",
        "manifest.json", "contract.json", "labels.txt", "sbom.cdx.json",
        "ondevice/classify.py", "ondevice/selftest.py", "ondevice/benchmark.py",
        "bin/classify", "systemd/edgedeploy-tiny-selftest.service",
        "models/int8.tflite", "golden/1.png", "LICENSES/NOTICE.txt",
    } <= names  # fmt: skip
    bill = json.loads((unpacked / "sbom.cdx.json").read_text())
    assert {"numpy", "pillow", "ai-edge-litert", "edgedeploy-ondevice"} <= {
        component["name"] for component in bill["components"]
    }
    manifest = json.loads((unpacked / "manifest.json").read_text())
    assert manifest["target"]["glibc"] == [2, 28]
    assert manifest["target"]["arch"] == "aarch64"


def test_same_inputs_give_the_same_archive(archive, tiny_payload, tmp_path):
    before = os.umask(0o077)
    try:
        write_bundle(
            tmp_path / "again.tar.gz",
            payload=tiny_payload,
            wheelhouse=make_wheelhouse(tmp_path),
            python="3.11",
            arch="aarch64",
        )
    finally:
        os.umask(before)
    assert (tmp_path / "again.tar.gz").read_bytes() == archive.read_bytes()


def test_no_file_names_this_machine_or_a_registry(unpacked):
    here = str(Path(__file__).resolve().parents[2]).encode()
    for path in unpacked.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert here not in data, path
            assert b"pypi.org" not in data, path


def test_system_sha256sum_accepts_the_sums(unpacked):
    subprocess.run(
        ["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"],
        cwd=unpacked,
        check=True,
    )


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh", "bin/classify"])
def test_scripts_are_posix_shell(unpacked, script):
    shell = shutil.which("dash") or shutil.which("busybox")
    if shell is None:
        pytest.skip("needs a strict POSIX shell; apt install dash")
    command = [shell] if shell.endswith("dash") else [shell, "sh"]
    subprocess.run([*command, "-n", unpacked / script], check=True)
    linter = shutil.which("shellcheck")
    if linter is None:
        pytest.skip("parsed; for the lint as well, apt install shellcheck")
    subprocess.run([linter, "-s", "sh", unpacked / script], check=True)


def test_wheels_of_another_system_are_refused(tiny_payload, tmp_path):
    house = make_wheelhouse(tmp_path)
    for python, arch in (("3.13", "aarch64"), ("3.11", "x86_64")):
        with pytest.raises(PackageError, match="expected"):
            write_bundle(
                tmp_path / "x.tar.gz",
                payload=tiny_payload,
                wheelhouse=house,
                python=python,
                arch=arch,
            )
    assert not (tmp_path / "x.tar.gz").exists()


def test_sound_bundle_passes_and_its_answers_were_replayed(archive):
    result = check_bundle(archive)
    assert result.passed, result.problems
    names = [check.name for check in result.checks]
    assert names[:6] == ["archive", "sums", "programs", "target", "wheels", "code"]
    assert "int8 on 4.png" in names
    assert names[-1] == "self-test"


@pytest.mark.parametrize(
    "name",
    ["labels.txt", "models/int8.tflite", "contract.json", "install.sh", "WHEEL"],
)
def test_altered_file_is_named_and_never_run(unpacked, tmp_path, name):
    if name == "WHEEL":
        name = next(p for p in (unpacked / "wheels").iterdir()).name
        name = f"wheels/{name}"
    path = unpacked / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    found = failures(repack(unpacked, tmp_path / "x.tar.gz", fix_sums=False))
    assert name in found["sums"]
    assert "not run" in found["self-test"]


def forge_label(folder):
    with (folder / "labels.txt").open("a") as file:
        file.write("one more\n")


def forge_model(folder):
    shutil.copy(folder / "models/float32.tflite", folder / "models/int8.tflite")


def forge_wheel(folder):
    wheel = next((folder / "wheels").glob("numpy*"))
    wheel.write_bytes(wheel.read_bytes() + b"!")


def forge_tag(folder):
    wheel = next((folder / "wheels").glob("numpy*"))
    wheel.rename(wheel.with_name(wheel.name.replace("aarch64", "armv7l")))


def forge_code(folder):
    with (folder / "ondevice/classify.py").open("a") as file:
        file.write("print('hello')\n")


def forge_requirements(folder):
    path = folder / "requirements.txt"
    path.write_text(path.read_text() + "extra==1\n")


def forge_target(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"3.11"', '"3.13"'))


def forge_mode(folder):
    (folder / "install.sh").chmod(0o644)


@pytest.mark.parametrize(
    ("forge", "check"),
    [
        (forge_label, "contract"),
        (forge_model, "int8 model"),
        (forge_wheel, "wheels"),
        (forge_tag, "wheels"),
        (forge_code, "code"),
        (forge_requirements, "wheels"),
        (forge_target, "target"),
        (forge_mode, "programs"),
    ],
)
def test_forgery_with_consistent_sums_is_named(unpacked, tmp_path, forge, check):
    forge(unpacked)
    assert check in failures(repack(unpacked, tmp_path / "x.tar.gz"))


def test_unlisted_file_is_named(unpacked, tmp_path):
    (unpacked / "extra").write_bytes(b"")
    found = failures(repack(unpacked, tmp_path / "x.tar.gz", fix_sums=False))
    assert "extra" in found["sums"]


def test_truncated_empty_and_foreign_archives_are_named(archive, tmp_path):
    data = archive.read_bytes()
    path = tmp_path / "x.tar.gz"
    for case in (b"", data[:100], data[: len(data) // 2], data[:-4], b"text"):
        path.write_bytes(case)
        assert set(failures(path)) == {"archive"}
    with tarfile.open(path, "w:gz", format=tarfile.USTAR_FORMAT) as other:
        other.addfile(tarfile.TarInfo("top/file"))
    found = failures(path)
    assert "SHA256SUMS" in found["sums"]
    assert "target" in found
    assert set(failures(tmp_path / "missing.tar.gz")) == {"archive"}


def run_install(folder, *arguments, **environment):
    return subprocess.run(
        [folder / "install.sh", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_install_refuses_another_architecture_and_writes_nothing(unpacked, tmp_path):
    if os.uname().machine == "aarch64":
        pytest.skip("this machine is aarch64; the refusal needs any other")
    done = run_install(unpacked, "--prefix", str(tmp_path / "p"))
    assert done.returncode == 1
    assert done.stderr == (
        f"install.sh: made for aarch64; this machine is {os.uname().machine}\n"
    )
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("name", ["labels.txt", "models/int8.tflite", "contract.json"])
def test_install_refuses_altered_files_first(unpacked, tmp_path, name):
    with (unpacked / name).open("ab") as file:
        file.write(b"!")
    done = run_install(unpacked, "--prefix", str(tmp_path / "p"))
    assert done.returncode == 1
    assert f"damaged or altered: {name}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("arguments", [["--prefix"], ["--nonsense"], ["--python", ""]])
def test_install_exits_2_for_a_wrong_argument(unpacked, arguments):
    assert run_install(unpacked, *arguments).returncode == 2
    assert run_install(unpacked, "--help").returncode == 0


def test_install_refuses_another_python(unpacked, tmp_path):
    """An aarch64 bundle, told to be for this machine so that it gets to Python."""
    script = unpacked / "install.sh"
    text = script.read_text().replace("'aarch64'", f"'{os.uname().machine}'")
    script.write_text(re.sub("PYTHON_VERSION='.*'", "PYTHON_VERSION='3.99'", text))
    update_sums(unpacked)
    done = run_install(unpacked, "--prefix", str(tmp_path / "p"))
    assert done.returncode == 1
    assert "needs Python 3.99" in done.stderr


def test_uninstall_leaves_foreign_folders_alone(unpacked, tmp_path):
    prefix = tmp_path / "p"
    prefix.mkdir()
    (prefix / "mine").write_text("mine")
    done = subprocess.run(
        [unpacked / "uninstall.sh", "--prefix", prefix],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert (prefix / "mine").read_text() == "mine"
