"""Which phones there are: Debian's adb as the client, a phone in Python on loopback."""

import time

import pytest

from edgedeploy.devices.adb.describe import parse_description, parse_heat
from edgedeploy.devices.adb.phones import Phone, list_phones, parse_phones
from edgedeploy.errors import DeviceError


def wait_for(adb, serial, state):
    for _ in range(100):
        found = {phone.serial: phone.state for phone in list_phones(adb)}
        if found.get(serial) == state:
            return
        time.sleep(0.1)
    pytest.fail(f"{serial} is {found.get(serial)}, not {state}")


def test_phone_tells_what_it_is(attach, ask):
    phone = attach()
    code, phones, _ = ask("android.devices")
    assert code == 0
    said = phones[phone.serial]
    assert said["passed"]
    assert said["detail"] == (
        "Google Pixel X, Android 14 (API 34), Google Tensor G9, arm64-v8a"
    )
    assert said["abis"] == ["arm64-v8a", "armeabi-v7a"]
    assert said["cores"] == 1


def test_no_phone_is_one_clear_line(server, ask):
    code, phones, said = ask("android.devices")
    assert (code, phones) == (1, {})
    assert said.strip().splitlines() == [
        "error: no Android phone is attached; allow USB debugging in its developer "
        "options and plug it in, or adb connect HOST:PORT"
    ]


def test_missing_adb_is_one_clear_line(ask, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, said = ask("android.devices")
    assert code == 1
    assert said.startswith("error: adb is not installed; apt-get install adb")
    assert said.count("\n") == 1


def test_phone_whose_user_allows_the_computer_can_be_used(attach, ask):
    phone = attach(auth="allow")
    assert ask("android.devices")[1][phone.serial]["passed"]
    # The computer proved that it has the key that it shows.
    assert phone.tokens_signed == 1


def test_unauthorised_phone_says_what_to_do(attach, ask, adb):
    phone = attach(auth="ignore")
    wait_for(adb, phone.serial, "unauthorized")
    code, phones, said = ask("android.devices")
    assert code == 1
    detail = phones[phone.serial]["detail"]
    assert detail.startswith("unauthorized: unlock it and allow this computer")
    assert f"error: {phone.serial}: unauthorized" in said
    assert ask("android.selftest")[2] == said


def test_offline_phone_says_what_to_do(attach, ask, adb):
    phone = attach()
    phone.unplug()
    wait_for(adb, phone.serial, "offline")
    code, _, said = ask("android.selftest")
    assert code == 1
    assert "offline: it does not answer; attach it anew" in said


def test_two_phones_are_told_apart(attach, ask):
    first, second = attach(), attach(model="Galaxy")
    code, phones, said = ask("android.selftest")
    assert (code, phones) == (2, {})
    assert "2 phones are attached" in said
    assert f"{second.serial} Galaxy" in said
    assert "--device" in said
    code, phones, _ = ask("android.devices")
    assert set(phones) == {first.serial, second.serial}
    code, _, said = ask("android.selftest", "--device", "nope")
    assert code == 2
    assert "no phone nope is attached" in said


def test_one_phones_failure_does_not_stop_the_other(attach, ask, adb):
    good, bad = attach(), attach(auth="ignore")
    wait_for(adb, bad.serial, "unauthorized")
    code, phones, said = ask("android.devices")
    assert code == 1
    assert phones[good.serial]["passed"]
    assert not phones[bad.serial]["passed"]
    assert f"1 of 2 phones failed: {bad.serial}" in said


def test_every_state_of_a_listing_is_read():
    text = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
R58M1234567            device usb:1-2 product:a model:SM_A52 device:a transport_id:1
0123456789ABCDEF       unauthorized usb:1-4 transport_id:2
????????????           no permissions (user in plugdev group; are your udev rules \
wrong?); see [http://developer.android.com/tools/device.html] usb:1-1 transport_id:3
192.168.1.5:5555       offline transport_id:4

"""
    found = parse_phones(text)
    assert [(one.serial, one.state.split(" (")[0], one.model) for one in found] == [
        ("R58M1234567", "device", "SM A52"),
        ("0123456789ABCDEF", "unauthorized", ""),
        ("????????????", "no permissions", ""),
        ("192.168.1.5:5555", "offline", ""),
    ]
    assert "udev" in found[2].trouble
    assert found[0].trouble == ""
    assert parse_phones("") == ()
    assert Phone(serial="x", state="host", model="").trouble.startswith("host: ")


def test_nonsense_as_description_is_one_error():
    for text in ("", "abis=\n", "\0\n", "model=x\n"):
        with pytest.raises(DeviceError, match="cannot be read"):
            parse_description("x", text)
    found = parse_description("x", "abis=x86\ncores=many\nmodel=a\x1bb\n")
    assert (found.cores, found.model) == (0, "ab")


def test_heat_is_unknown_where_the_phone_does_not_tell():
    heat = parse_heat("battery=\n")
    assert (heat.status, heat.cpu_c, heat.battery_c) == (None, None, None)
    assert parse_heat("Thermal Status: 99").status is None


def test_shell_tells_failure_with_and_without_exit_codes(attach, adb):
    for features in ("shell_v2", ""):
        phone = attach(features=features)
        said = adb.shell(phone.serial, "echo one; echo two >&2; echo three")
        assert said == "one\ntwo\nthree\n"
        with pytest.raises(DeviceError, match="shell says: oh no"):
            adb.shell(phone.serial, "echo oh no; exit 3")


def test_connection_that_drops_is_no_success(attach, adb):
    phone = attach()
    phone.program("leave", "kill -9 $PPID; kill -9 $$")
    with pytest.raises(DeviceError, match="connection dropped during shell"):
        adb.shell(phone.serial, "leave")
