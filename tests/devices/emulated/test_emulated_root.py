import shutil
import socket
from pathlib import Path

import pytest

from edgedeploy.devices.emulated.arm_root import lay_out, merge_into_usr, prepare_root
from edgedeploy.devices.emulated.install_level import _compare_files, list_files
from edgedeploy.devices.emulated.private_apt import PrivateApt
from edgedeploy.devices.emulated.unavailable import Unavailable
from edgedeploy.errors import InputError, VerificationError

apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None,
    reason="apt-get and dpkg-deb are missing: run the tests on Debian or Ubuntu",
)


def write(root, name, text="x"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_old_folders_are_merged_into_usr(tmp_path):
    write(tmp_path, "lib/arch/libc.so.6", "c")
    (tmp_path / "lib" / "ld.so").symlink_to("arch/libc.so.6")
    write(tmp_path, "usr/lib/arch/libz.so.1", "z")
    merge_into_usr(tmp_path, "lib")
    assert (tmp_path / "lib").readlink() == Path("usr/lib")
    assert (tmp_path / "usr/lib/ld.so").read_text() == "c"
    assert (tmp_path / "lib/arch/libz.so.1").read_text() == "z"


def test_merging_twice_changes_nothing(tmp_path):
    write(tmp_path, "bin/sh")
    merge_into_usr(tmp_path, "bin")
    merge_into_usr(tmp_path, "bin")
    assert (tmp_path / "usr/bin/sh").read_text() == "x"


def test_layout_has_shell_users_and_certificates(tmp_path):
    write(tmp_path, "bin/dash")
    write(tmp_path, "usr/bin/mawk")
    for table in ("passwd", "group"):
        write(tmp_path, f"usr/share/base-passwd/{table}.master", f"{table}\n")
    write(tmp_path, "usr/share/ca-certificates/b.crt", "B")
    write(tmp_path, "usr/share/ca-certificates/a/a.crt", "A")
    lay_out(tmp_path)
    assert (tmp_path / "bin/sh").readlink() == Path("dash")
    assert (tmp_path / "usr/bin/awk").readlink() == Path("mawk")
    assert (tmp_path / "etc/passwd").read_text() == "passwd\n"
    assert (tmp_path / "etc/ssl/certs/ca-certificates.crt").read_text() == "AB"
    assert (tmp_path / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_unknown_suite_is_refused():
    with pytest.raises(InputError, match="received 'woody'"):
        prepare_root("woody")


def test_offline_without_a_cache_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path))
    with pytest.raises(Unavailable, match="once without --offline"):
        prepare_root("bookworm", offline=True)


def test_machine_without_apt_is_told_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    private = PrivateApt(folder=tmp_path / "a", suite="bookworm", architecture="arm64")
    with pytest.raises(Unavailable, match="apt-get, apt-config, dpkg-deb"):
        private.download(("dash",))


@pytest.fixture
def hasty(tmp_path, monkeypatch):
    """The machine's apt asks a mirror once, and not again after 1, 2 and 4 seconds."""
    settings = tmp_path / "machine.conf"
    settings.write_text('Acquire::Retries "0";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))


@apt
@pytest.mark.usefixtures("hasty")
def test_mirror_that_does_not_answer_is_one_line_with_the_way_out(
    tmp_path, monkeypatch
):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        # Bound, but nobody listens; once closed, another program might.
        mirror = f"http://127.0.0.1:{closed.getsockname()[1]}/debian"
        monkeypatch.setenv("EDGEDEPLOY_DEBIAN_MIRROR", mirror)
        folder = tmp_path / "a"
        private = PrivateApt(folder=folder, suite="bookworm", architecture="arm64")
        with pytest.raises(Unavailable) as caught:
            private.download(("dash",))
    assert "no configured mirror serves Debian bookworm for arm64" in str(caught.value)
    assert "EDGEDEPLOY_DEBIAN_MIRROR" in str(caught.value)
    assert "\n" not in str(caught.value)


@apt
@pytest.mark.usefixtures("hasty")
def test_private_apt_writes_only_into_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEDEPLOY_DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
    folder = tmp_path / "a"
    with pytest.raises(Unavailable):
        PrivateApt(folder=folder, suite="bookworm", architecture="arm64").download(())
    settings = (folder / "apt.conf").read_text()
    for option in ("State", "State::status", "Cache", "Log", "Etc::parts"):
        assert f'Dir::{option} "{folder}' in settings
    # Hooks of the machine would clean or tell the machine.
    assert "Invoke" not in settings


def test_change_of_a_system_is_seen(tmp_path):
    kept = write(tmp_path, "etc/kept")
    gone = write(tmp_path, "etc/gone")
    write(tmp_path, "proc/ignored")
    write(tmp_path, "var/lib/dpkg/status")
    before = list_files(tmp_path)
    assert _compare_files(before, list_files(tmp_path)).startswith("none")
    gone.unlink()
    write(tmp_path, "opt/left/behind")
    kept.chmod(0o600)
    write(tmp_path, "var/lib/dpkg/status", "changed")
    with pytest.raises(VerificationError) as caught:
        _compare_files(before, list_files(tmp_path))
    assert str(caught.value) == (
        "5 files differ from before: etc/gone, etc/kept, opt, opt/left, opt/left/behind"
    )
