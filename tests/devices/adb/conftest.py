import json
import shutil
import socket
import subprocess

import adbd
import pytest
from commands import run_here

from edgedeploy.devices.adb.client import find_adb

PROPERTIES = {
    "ro.product.model": "Pixel X",
    "ro.product.manufacturer": "Google",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a",
    "ro.soc.manufacturer": "Google",
    "ro.soc.model": "Tensor G9",
    "ro.serialno": "XYZ123",
}
THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
Thermal Status: 2
Cached temperatures:
        Temperature{mValue=41.5, mType=0, mName=BIG, mStatus=0}
        Temperature{mValue=38.0, mType=0, mName=LITTLE, mStatus=0}
        Temperature{mValue=33.1, mType=3, mName=skin, mStatus=0}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An adb server of the tests' own: other port, other keys."""
    if not shutil.which("adb"):
        pytest.skip("needs adb: apt-get install adb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = str(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "TMPDIR"):
            patch.setenv(name, home)
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
        patch.setenv("ADB_MDNS", "0")
        yield port
        tell("kill-server")


@pytest.fixture
def adb(server):
    return find_adb()


def tell(*words):
    subprocess.run(["adb", *words], capture_output=True, timeout=60, check=False)


@pytest.fixture
def attach(adb, tmp_path):
    """Attach phones; gives each."""
    phones = []

    def run(**facts):
        phone = adbd.Phone(tmp_path / f"phone{len(phones)}", **facts)
        phones.append(phone)
        cases = "\n".join(f"{k}) echo '{v}';;" for k, v in PROPERTIES.items())
        phone.program("getprop", f'case "$1" in\n{cases}\nesac')
        phone.program("nproc", "echo 1")
        phone.program("uname", "echo aarch64")
        heat = THERMAL.replace("'", "")
        phone.program(
            "dumpsys",
            f"[ $1 = battery ] && echo '  temperature: 305' || cat <<'X'\n{heat}X",
        )
        tell("connect", phone.serial)
        return phone

    yield run
    for phone in phones:
        tell("disconnect", phone.serial)
        phone.unplug()


@pytest.fixture
def ask(capsys, monkeypatch, tmp_path):
    """Run a task in a project folder; gives exit code, JSON of the phones, stderr."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*words):
        code, out, err = run_here(capsys, *words, "--json")
        phones = json.loads(out)["phones"] if out else {}
        return code, phones, err

    run.folder = folder
    return run
