"""The Debian package: what is in it, who refuses it, and what dpkg makes of it."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest
from empty_wheels import make_wheelhouse
from registries import wheels_of

from edgedeploy.errors import PackageError
from edgedeploy.formats.deb import extract_deb, write_deb
from edgedeploy.formats.tar import TarEntry
from edgedeploy.targets.payload import extend_payload
from edgedeploy.targets.raspberry_pi.check_debian import check_package
from edgedeploy.targets.raspberry_pi.debian import (
    package_name,
    package_version,
    write_package,
)
from edgedeploy.targets.raspberry_pi.runtime_limits import check_models
from edgedeploy.targets.raspberry_pi.systems import system_for

VERSION = "1.0-1+py3.11"


def make(folder, payload, arch="aarch64"):
    path = folder / f"tiny-pi-3.11-{arch}.deb"
    house = make_wheelhouse(folder, arch)
    write_package(path, payload=payload, wheelhouse=house, version=VERSION)
    return path


@pytest.fixture(scope="module")
def package(tiny_payload, tmp_path_factory):
    return make(tmp_path_factory.mktemp("deb"), tiny_payload)


def failures(path):
    return {check.name: check.detail for check in check_package(path).problems}


def test_sound_package_passes_and_its_answers_were_replayed(package):
    result = check_package(package)
    assert result.passed, result.problems
    names = [check.name for check in result.checks]
    assert {"package", "places", "sums", "wheels", "control", "scripts"} <= set(names)
    assert "int8 on 4.png" in names


def test_same_inputs_give_the_same_package(package, tiny_payload, tmp_path):
    before = os.umask(0o077)
    try:
        again = make(tmp_path, tiny_payload)
    finally:
        os.umask(before)
    assert again.read_bytes() == package.read_bytes()


def test_package_asks_for_the_python_that_its_wheels_are_for(package, tmp_path):
    fields = extract_deb(package, tmp_path).fields
    assert fields["Package"] == "edgedeploy-tiny"
    assert fields["Architecture"] == "arm64"
    assert fields["Depends"] == (
        "python3 (>= 3.11), python3 (<< 3.12), python3-venv, libc6 (>= 2.28)"
    )


def test_package_for_32_bits_takes_numpy_and_pillow_from_the_system(
    tiny_payload, tmp_path
):
    path = make(tmp_path, tiny_payload, "armv7l")
    found = extract_deb(path, tmp_path / "out")
    assert found.fields["Architecture"] == "armhf"
    assert found.fields["Depends"].endswith(
        "libc6 (>= 2.34), python3-numpy, python3-pil"
    )
    assert check_package(path).passed
    script = tmp_path / "out/data/usr/lib/edgedeploy/tiny/install.sh"
    text = script.read_text()
    assert "MACHINES='armv7l armv8l aarch64'\nBITS=32\n" in text
    assert "SYSTEM_PACKAGES='python3-numpy python3-pil'" in text


@pytest.mark.parametrize("script", ["postinst", "prerm"])
def test_maintainer_scripts_are_posix_shell(package, tmp_path, script):
    linter = shutil.which("shellcheck")
    if linter is None:
        pytest.skip("needs shellcheck; apt install shellcheck")
    extract_deb(package, tmp_path)
    path = tmp_path / "control" / script
    subprocess.run([linter, "-s", "sh", path], check=True)


@pytest.mark.slow
def test_lintian_finds_no_error(package):
    lintian = shutil.which("lintian")
    if lintian is None:
        pytest.skip("needs lintian; apt install lintian")
    done = subprocess.run(
        [lintian, package], capture_output=True, text=True, check=False
    )
    assert not [line for line in done.stdout.splitlines() if line.startswith("E:")]


@pytest.mark.parametrize(
    ("name", "code", "version"),
    [
        ("1.0", 1, "1.0-1+py3.11"),
        ("2.1~rc1", 30, "2.1~rc1-30+py3.11"),
        ("v1.0 (beta)", 2, "0.v1.0..beta.-2+py3.11"),
        ("", 1, "0.-1+py3.11"),
        ("1:2-3", 1, "1.2.3-1+py3.11"),
    ],
)
def test_version_is_debians_whatever_the_app_is_called(name, code, version):
    assert package_version(name, code, "3.11") == version
    assert package_name("inception_v3") == "edgedeploy-inception-v3"


def rewrite(package, path, folder, *, fields=None, add=(), scripts=None, edit=None):
    """Pack a package again with sums that agree: what a careful forger would do."""
    found = extract_deb(package, folder)
    if edit is not None:
        edit(folder / "data/usr/lib/edgedeploy/tiny")
    data = [
        TarEntry(
            name=member.name,
            source=folder / "data" / member.name,
            executable=member.executable,
        )
        for member in found.data
    ]
    own = {
        name: (folder / "control" / name).read_bytes() for name in ("postinst", "prerm")
    }
    kept = {k: v for k, v in found.fields.items() if k != "Installed-Size"}
    write_deb(
        path,
        fields={**kept, **(fields or {})},
        scripts=own | (scripts or {}),
        data=[*data, *add],
    )
    return path


def spoil_label(folder):
    with (folder / "labels.txt").open("a") as file:
        file.write("one more\n")


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"fields": {"Architecture": "amd64"}}, "control"),
        ({"fields": {"Depends": "python3"}}, "control"),
        ({"fields": {"Package": "bash"}}, "places"),
        ({"add": [TarEntry(name="etc/cron.d/x", source=b"x")]}, "places"),
        ({"add": [TarEntry(name="usr/lib/edgedeploy/tiny/x", source=b"x")]}, "sums"),
        ({"scripts": {"postinst": b"#!/bin/sh\nrm -rf /\n"}}, "scripts"),
        ({"scripts": {"preinst": b"#!/bin/sh\n"}}, "scripts"),
        ({"edit": spoil_label}, "sums"),
    ],
)
def test_forgery_is_named(package, tmp_path, changes, check):
    path = rewrite(package, tmp_path / "x.deb", tmp_path / "work", **changes)
    assert check in failures(path)


def test_damaged_and_missing_packages_are_failed_checks(package, tmp_path):
    data = package.read_bytes()
    path = tmp_path / "x.deb"
    for case in (b"", data[:100], data[: len(data) // 2], data + b"!", b"text"):
        path.write_bytes(case)
        assert set(failures(path)) == {"package"}
    assert set(failures(tmp_path / "missing.deb")) == {"package"}


def test_model_that_the_32_bit_runtime_cannot_load_is_refused_with_a_way_on(
    tiny_models, monkeypatch
):
    models = {"models/int8.tflite": tiny_models["int8"]}
    limits = "edgedeploy.targets.raspberry_pi.runtime_limits.NEWEST_VERSIONS"
    monkeypatch.setitem(sys.modules[limits.rpartition(".")[0]].NEWEST_VERSIONS,
                        "CONV_2D", 2)  # fmt: skip
    check_models(models, system_for("3.11", "aarch64"))
    with pytest.raises(PackageError, match=r"CONV_2D of version 3.*aarch64"):
        check_models(models, system_for("3.11", "armv7l"))


@pytest.fixture(scope="module")
def bookworm(tmp_path_factory):
    """A Debian 12 of its own, made by debootstrap from the machine's own mirror."""
    if os.getuid() != 0:
        pytest.skip("needs root for chroot and an empty network; run as root")
    for program, package in (("debootstrap", "debootstrap"), ("unshare", "util-linux")):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}; apt install {package}")
    root = tmp_path_factory.mktemp("root") / "bookworm"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=python3,python3-venv",
         "bookworm", root, *debian_mirror()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"debootstrap could not make bookworm: {made.stdout[-200:]}")
    return root


def debian_mirror():
    """Give the first Debian mirror that apt is configured with, if it says one."""
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line.split() for line in asked.stdout.splitlines()]
    return [line[1] for line in lines if line[:1] == ["Debian"] and len(line) == 2][:1]


def inside(root, *command):
    """Run a command in the root, without a network."""
    return subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c",
         f'mount -t proc proc {root}/proc && exec chroot {root} "$@"', "sh",
         "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def listing(root):
    """List what a removal has to restore; dpkg's and apt's own books are theirs."""
    theirs = tuple(
        f"{root}/{name}" for name in ("var/lib/dpkg", "var/log", "var/cache", "tmp")
    )
    return sorted(
        str(path) for path in root.rglob("*") if not str(path).startswith(theirs)
    )


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(2400)
def test_dpkg_installs_upgrades_rolls_back_and_removes(
    bookworm, tiny_payload, tmp_path
):
    if os.uname().machine != "x86_64":
        pytest.skip("needs an x86-64 machine")
    house = wheels_of("3.11", "x86_64", tmp_path / "cache")
    for number in (1, 2):
        payload = extend_payload(
            tiny_payload, files={}, components=[], facts={"version": number}
        )
        write_package(
            bookworm / f"tmp/{number}.deb",
            payload=payload,
            wheelhouse=house,
            version=package_version(f"{number}.0", number, "3.11"),
        )
    bad = bookworm / "tmp/bad.deb"
    rewrite(
        bookworm / "tmp/2.deb",
        bad,
        tmp_path / "work",
        fields={"Version": "3.0-3+py3.11"},
        edit=fail_the_selftest,
    )
    before = listing(bookworm)
    current = bookworm / "opt/edgedeploy/tiny/current"

    def works():
        return inside(bookworm, "/opt/edgedeploy/tiny/current/bin/selftest")

    done = inside(bookworm, "dpkg", "-i", "/tmp/1.deb")
    assert done.returncode == 0, done.stderr
    assert works().returncode == 0, works().stdout
    first = current.readlink()
    assert inside(bookworm, "dpkg", "-i", "/tmp/2.deb").returncode == 0
    second = current.readlink()
    assert second != first
    # A version whose self-test fails is not configured, and what worked still works.
    failed = inside(bookworm, "dpkg", "-i", "/tmp/bad.deb")
    assert failed.returncode != 0
    assert "self-test failed; nothing was changed" in failed.stderr
    assert current.readlink() == second
    assert works().returncode == 0
    # dpkg goes back as to any version, and install.sh finds it still there.
    assert inside(bookworm, "dpkg", "-i", "/tmp/1.deb").returncode == 0
    assert current.readlink() == first
    removed = inside(bookworm, "dpkg", "-r", "edgedeploy-tiny")
    assert removed.returncode == 0, removed.stderr
    assert listing(bookworm) == before


def fail_the_selftest(folder):
    path = folder / "labels.txt"
    path.write_text(path.read_text() + "one more\n")
    sums = folder / "SHA256SUMS"
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (line.split("  ", 1)[1] for line in sums.read_text().splitlines())
    ]
    sums.write_text("".join(lines))
