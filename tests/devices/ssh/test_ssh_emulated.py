"""A real sshd whose login shell is an emulated Raspberry Pi: the whole path, once.

The shell is Debian bookworm's for arm64, every program that it starts is run by qemu,
and the bundle is the one that a Pi would get, wheels included.
"""

import json
import threading
import time

import pytest
import tiny_models as tiny

from edgedeploy.devices.emulated.arm_root import prepare_root
from edgedeploy.devices.emulated.cpus import cpu_named, describe_cpu
from edgedeploy.devices.emulated.qemu import find_qemu
from edgedeploy.devices.emulated.tracer import prepare_tracer
from edgedeploy.devices.emulated.unavailable import Unavailable
from edgedeploy.targets.raspberry_pi.bundle import write_bundle
from edgedeploy.targets.raspberry_pi.wheelhouse import resolve
from edgedeploy.workspace import cache_folder

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(3600)]


_CPU = "cortex-a72"
# The user is no root, so proot lays the Arm system out by itself; home is the desk's.
_SHELL = """\
#!/bin/sh
exec env -u LD_LIBRARY_PATH PROOT_TMP_DIR=/run/scratch \\
    /run/desk/loader --library-path /run/desk /run/desk/proot \\
    -q "/run/desk/qemu-aarch64 -cpu {cpu}" -r /run/arm \\
    -b /run/described/proc/cpuinfo:/proc/cpuinfo -b /run/described/sys:/sys \\
    -b /proc -b /dev -b /home -b /run/scratch:/tmp -w "$HOME" /bin/sh "$@"
"""
_PREPARE = """\
mkdir /run/arm /run/described
mkdir -m 1777 /run/scratch
cp -r {tracer} /run/desk
cp {qemu} /run/desk/qemu-aarch64
cp -r {described}/. /run/described
cp {described}.sh /run/shell
chmod -R a+rX /run/desk /run/described
chmod 755 /run/shell /run/desk/qemu-aarch64 /run/desk/loader /run/desk/proot
mount --bind {root} /run/arm
mount -o remount,bind,ro /run/arm
"""


@pytest.fixture
def board(serve, tmp_path):
    """An sshd with an arm64 bookworm behind it, or a skip that says what is missing."""
    try:
        qemu, tracer = find_qemu(), prepare_tracer()
        root = prepare_root("bookworm")
    except Unavailable as error:
        pytest.skip(f"cannot emulate Arm here: {error}")
    described = tmp_path / "described"
    describe_cpu(described, cpu_named(_CPU))
    described.with_suffix(".sh").write_text(_SHELL.format(cpu=_CPU))
    return serve(
        shell="/run/shell",
        home_kb=1_500_000,
        prepare=_PREPARE.format(
            tracer=tracer.folder, qemu=qemu.path, described=described, root=root.folder
        ),
    )


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Two versions of the tiny model's bundle for a Raspberry Pi with Python 3.11."""
    house = resolve("3.11", "aarch64", cache=cache_folder(), locked=None, offline=False)
    paths = []
    for facts in ({"edgedeploy": "1"}, {"edgedeploy": "2"}):
        payload = tiny.build_tiny_payload(tiny.tiny_models(), facts=facts)
        folder = tmp_path_factory.mktemp("bundle")
        path = folder / "tiny-pi-3.11-aarch64.tar.gz"
        write_bundle(
            path, payload=payload, wheelhouse=house, python="3.11", arch="aarch64"
        )
        paths.append(str(path))
    return paths


def test_emulated_board_is_installed_proved_measured_and_upgraded(
    board, bundles, ask, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    old, new = bundles
    flags = ("--host", "board", "--ssh-config", str(board.config))

    code, host, err = ask("pi.install", *flags, "--path", old)
    assert code == 0, err
    assert host["sent_bytes"] > 20_000_000
    version = (board.home / ".local/opt/edgedeploy/tiny/current").readlink()

    # The self-test holds int8 to the last bit of what this machine answered.
    code, host, err = ask("pi.selftest", *flags, "--path", old)
    assert (code, host["passed"]) == (0, True), err
    assert host["selftest"]["delegates"]["int8"] == "XNNPACK"

    timing = ("--path", old, "--seconds", "5")
    code, host, err = ask("pi.benchmark", *flags, *timing)
    assert code == 0, err
    figures = json.loads((tmp_path / "build/tiny/benchmark.json").read_text())
    entry = figures["devices"][host["device_id"]]
    assert entry["host"]["machine"] == "aarch64"
    assert entry["host"]["emulated"] is True

    # A network that goes in the middle of an upgrade leaves the version in use.
    stop = threading.Event()

    def keep_cutting():
        while not stop.is_set():
            board.cut_sessions()
            time.sleep(0.4)

    cutter = threading.Thread(target=keep_cutting)
    cutter.start()
    code, host, err = ask("pi.install", *flags, "--path", new)
    stop.set()
    cutter.join()
    assert code == 1
    assert err.splitlines()[-1].startswith("error: board: ")
    assert (board.home / ".local/opt/edgedeploy/tiny/current").readlink() == version
    code, host, err = ask("pi.selftest", *flags, "--path", old)
    assert (code, host["passed"]) == (0, True), err

    code, host, err = ask("pi.install", *flags, "--path", new)
    assert code == 0, err
    assert host["sent_bytes"] < 100_000
    assert (board.home / ".local/opt/edgedeploy/tiny/current").readlink() != version


def test_wrong_key_and_full_disk_leave_the_emulated_board_alone(
    board, bundles, ask, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    flags = ("--host", "board", "--ssh-config", str(board.config), "--path", bundles[0])
    before = board.snapshot()
    board.use_key("wrong_key")
    code, _, err = ask("pi.install", *flags)
    assert code == 1
    assert "Permission denied" in err.splitlines()[-1] or "key" in err.splitlines()[-1]
    assert board.snapshot() == before
    board.use_key("user_key")
    board.shell("dd if=/dev/zero of=/home/ballast bs=1M count=1440 2>/dev/null")
    code, _, err = ask("pi.install", *flags)
    assert code == 1
    assert "room" in err.splitlines()[-1] or "space" in err.splitlines()[-1]
    board.shell("rm /home/ballast")
    assert board.snapshot() == before
