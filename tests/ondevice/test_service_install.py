"""install.sh --service and uninstall.sh, with real wheels, in a mount namespace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from registries import wheels_of

from edgedeploy.targets.raspberry_pi.bundle import write_bundle

UNIT = "edgedeploy-tiny.service"
# Folders of the machine's are covered by empty ones that vanish with the namespace.
SCRIPT = f"""
mount -t tmpfs none /opt && mkdir -p /etc/systemd/system &&
mount -t tmpfs none /etc/systemd/system || exit 99
set -ex
cd "$1"
./install.sh --python "$2" --service
grep '^ExecStart=/opt/edgedeploy/tiny/current/bin/classify ' /etc/systemd/system/{UNIT}
test -h /etc/systemd/system/multi-user.target.wants/{UNIT}
# An upgrade or repair brings the unit up to date without being asked.
sed -i s/RestartSec=10/RestartSec=99/ /etc/systemd/system/{UNIT}
./install.sh --python "$2"
grep RestartSec=10 /etc/systemd/system/{UNIT}
# What the unit starts works, up to the camera that is not there.
bin=/opt/edgedeploy/tiny/current/bin
$bin/classify --watch --json --camera /dev/video987 2>"$3" || test $? = 1
/opt/edgedeploy/tiny/current/uninstall.sh
test -z "$(find /opt /etc/systemd/system -mindepth 1 ! -type d)"
test ! -e /opt/edgedeploy
# A prefix that the unit could not see is refused before anything is written.
hidden=/tmp/edgedeploy-nowhere
if ./install.sh --python "$2" --service --prefix $hidden; then exit 1; fi
test ! -e $hidden
"""


@pytest.mark.slow
@pytest.mark.network
def test_service_comes_and_goes_with_the_installation(tiny_payload, tmp_path):
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare, for a mount namespace; run as root")
    if not shutil.which("systemctl"):
        pytest.skip("systemctl is missing; sudo apt install systemd")
    if Path("/run/systemd/system").exists():
        pytest.skip("systemd runs here and would start the unit; use a container")
    if os.uname().machine != "x86_64" or sys.version_info[:2] != (3, 11):
        pytest.skip("needs x86-64 and Python 3.11, which the bundle is made for")
    house = wheels_of("3.11", "x86_64", tmp_path / "cache")
    path = tmp_path / "bundle.tar.gz"
    write_bundle(
        path, payload=tiny_payload, wheelhouse=house, python="3.11", arch="x86_64"
    )
    subprocess.run(["tar", "-xzf", path, "-C", tmp_path], check=True)
    done = subprocess.run(
        [
            "unshare", "-m", "sh", "-c", SCRIPT, "sh",
            tmp_path / "tiny-pi-3.11-x86_64", sys.executable, tmp_path / "errors",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "will start with the machine" in done.stdout
    errors = (tmp_path / "errors").read_text().splitlines()
    assert errors[-1] == (
        "classify: /dev/video987: no such device file; is the camera plugged in?"
    )
