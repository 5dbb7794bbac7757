"""How a host's description of itself is read, and which bundle fits it."""

from pathlib import Path

import pytest

from edgedeploy.devices.ssh.parcel import Depot, Parcel
from edgedeploy.devices.ssh.remote import parse_probe
from edgedeploy.errors import DeviceError

# As a Raspberry Pi 5 prints it, with the values of its sysfs.
PI5 = """\
machine=aarch64
hostname=kitchen
home=/home/pi
python=3.11/64
prefix=/home/pi/.local/opt/edgedeploy/tiny
free_kb=1000
free_kb=2000
board=Raspberry Pi 5 Model B Rev 1.0
os=Debian GNU/Linux 12 (bookworm)
governor=ondemand
millidegrees=48312
throttled=throttled=0x50000
identity=0123456789abcdef0123456789abcdef  -
"""


def test_board_temperature_and_throttling_are_read():
    remote = parse_probe(PI5)
    assert remote.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert remote.device_id == "raspberry-pi-5-model-b-rev-1.0-kitchen"
    assert remote.temperature_c == 48.3
    assert remote.throttled == "0x50000"
    assert remote.governor == "ondemand"
    assert remote.free_bytes == (1_024_000, 2_048_000)
    assert remote.identity == "0123456789ab"
    assert (remote.installed, remote.models) == ("", ())


def test_what_a_host_does_not_tell_is_none():
    remote = parse_probe("machine=x86_64\nhostname=desk\nthrottled=\ngovernor=\n")
    assert (remote.throttled, remote.governor, remote.temperature_c) == (None,) * 3
    assert remote.device_id == "x86_64-desk"


def test_models_in_use_come_from_the_installed_contract():
    text = (
        PI5 + 'contract={"variants": {"int8": {"sha256": "ab"}, "f": {"sha256": "c"}}}'
    )
    assert parse_probe(text).models == (("int8", "ab"), ("f", "c"))


def test_32_bit_system_on_a_64_bit_kernel_is_armv7l():
    remote = parse_probe(PI5.replace("3.11/64", "3.11/32"))
    assert remote.pythons == (("3.11", "armv7l"),)


@pytest.mark.parametrize(
    "text", ["", "hello", "machine=a\nfree_kb=x", "machine=a\nmillidegrees=x",
             "machine=a\ncontract=[]", "machine=a\ncontract={", "machine=a\nmachine=b"],
)  # fmt: skip
def test_nonsense_is_an_error_that_the_probe_can_name(text):
    with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):
        parse_probe(text)


def test_escape_codes_of_a_stranger_are_dropped():
    remote = parse_probe("machine=a\nboard=\x1b[31mred\nhostname=h/../x\n")
    assert remote.board == "[31mred"
    assert "/" not in remote.device_id


def parcel(python, arch):
    return Parcel(model="tiny", python=python, arch=arch, identity="i", files=())


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("python=3.13/64\n", "wrong Python: .*Python 3.11 on aarch64; the host has"),
        ("python=3.11/32\n", "wrong architecture"),
        ("", "no Python.*sudo apt install"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused_with_both_sides(lines, said):
    remote = parse_probe(PI5.replace("python=3.11/64\n", lines))
    with pytest.raises(DeviceError, match=said):
        Depot.of(parcel("3.11", "aarch64")).choose(remote)


def test_the_python_called_python3_decides_between_bundles(monkeypatch):
    text = PI5.replace("python=3.11/64\n", "python=3.13/64\npython=3.11/64\n")
    candidates = {(one, "aarch64"): Path(one) for one in ("3.11", "3.13")}
    depot = Depot(candidates, Path())
    monkeypatch.setattr(
        "edgedeploy.devices.ssh.parcel.open_parcel",
        lambda path, _folder: parcel(path.name, "aarch64"),
    )
    assert depot.choose(parse_probe(text)).python == "3.13"
