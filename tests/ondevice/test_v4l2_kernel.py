"""Capture from a driver of the kernel itself: vivid, in a virtual machine."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "depmod": "kmod",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "vivid")
# The machine's own files serve as the guest's, read-only; only /dev and such differ.
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
modprobe virtio_pci; modprobe 9pnet_virtio; modprobe 9p
modprobe vivid node_types=0x1 n_devs=1 input_types=0
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose host /host
mount -t devtmpfs dev /host/dev; mount -t proc proc /host/proc
mount -t sysfs sys /host/sys
cd /host
PYTHONPATH={root} PYTHONDONTWRITEBYTECODE=1 chroot /host {python} {script}
poweroff -f
"""
# 75 % bars: 3/4 of 255 is 191.
BARS = [
    [191, 191, 191], [191, 191, 0], [0, 191, 191], [0, 191, 0],
    [191, 0, 191], [191, 0, 0], [0, 0, 191], [0, 0, 0],
]  # fmt: skip


def fetch_kernel(folder):
    """Unpack Debian's kernel for amd64 into a folder; nothing is installed."""
    listed = subprocess.run(
        ["apt-cache", "depends", "linux-image-amd64"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    found = re.search(r"linux-image-\d\S+", listed)
    if found is None:
        pytest.skip("apt knows no linux-image-amd64; needs Debian amd64, apt update")
    done = subprocess.run(
        ["apt-get", "download", found[0]],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"{found[0]} cannot be downloaded; needs the network, apt update")
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "tree"], check=True)
    return folder / "tree"


def make_initramfs(folder, tree):
    """Pack busybox, the modules with what they need, and INIT."""
    (modules,) = (tree / "lib/modules").iterdir()
    subprocess.run(["depmod", "-b", tree, modules.name], check=True)
    top = folder / "initramfs"
    for name in ("bin", "proc", "sys", "dev", "host"):
        (top / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), top / "bin/busybox")
    wanted = set()
    for line in (modules / "modules.dep").read_text().splitlines():
        name, _, needs = line.partition(":")
        if Path(name).name.partition(".")[0] in MODULES:
            wanted |= {name, *needs.split()}
    target = top / "lib/modules" / modules.name
    for name in wanted:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(modules / name, target / name)
    subprocess.run(
        ["depmod", "-b", top, modules.name], stderr=subprocess.DEVNULL, check=True
    )
    script = Path(__file__).with_name("v4l2_in_vm.py")
    init = top / "init"
    init.write_text(INIT.format(root=ROOT, python=sys.executable, script=script))
    init.chmod(0o755)
    names = "\n".join(str(p.relative_to(top)) for p in sorted(top.rglob("*")))
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"],
        cwd=top, input=names.encode(), stdout=subprocess.PIPE, check=True,
    ).stdout  # fmt: skip
    path = folder / "initramfs.gz"
    path.write_bytes(gzip.compress(packed, 1))
    return path


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """What v4l2_in_vm.py saw."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing; sudo apt install {package}")
    if os.uname().machine != "x86_64":
        pytest.skip("needs an x86-64 machine, whose own files the guest runs")
    folder = tmp_path_factory.mktemp("vm")
    # apt drops its rights for the download, and the folder is ours alone.
    tree = fetch_kernel(folder)
    initramfs = make_initramfs(folder, tree)
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    done = subprocess.run(
        [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024",
            "-nographic", "-no-reboot", "-net", "none", "-kernel", kernel,
            "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1",
            "-virtfs",
            "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=280, check=False,
    )  # fmt: skip
    text = done.stdout.decode(errors="replace")
    found = re.search(r"^FACTS (.*?)\r?$", text, re.M)
    assert found, text[-3000:] + done.stderr.decode(errors="replace")
    return json.loads(found[1])


pytestmark = [pytest.mark.slow, pytest.mark.network]


def test_frames_are_whole_new_and_of_the_right_colours(facts):
    assert facts["format"] == "YUYV"
    assert facts["size"] == [640, 480, 1280]
    assert facts["bytes"] == 640 * 480 * 2
    for found, expected in zip(facts["bars"], BARS, strict=True):
        assert found == pytest.approx(expected, abs=3)
    assert facts["differ"]


def test_camera_can_be_opened_again_with_another_size(facts):
    assert facts["small"] == [320, 180]
    assert facts["again"] == 320 * 180 * 2


def test_busy_unplugged_and_unsuitable_cameras_are_told_apart(facts):
    assert facts["busy"] == "/dev/video0: another program uses this camera"
    assert facts["unplugged"] == "/dev/video0: the camera was unplugged"
    assert facts["mjpg"].startswith("/dev/video0: expected MJPG; the camera offers")
    # vivid is on no USB.
    assert facts["usb"] == "None"
