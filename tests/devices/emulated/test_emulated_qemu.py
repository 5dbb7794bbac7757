import struct

import pytest

from edgedeploy.devices.emulated.cpus import CPUS, DEFAULT_CPUS, cpu_named
from edgedeploy.devices.emulated.elf import interpreter_of
from edgedeploy.devices.emulated.qemu import find_qemu, read_version, refuse_qemu
from edgedeploy.errors import DeviceError, InputError


def elf(path, interpreter=None):
    """Write an ELF file by the layout of the System V ABI, with one program header."""
    kind = 1 if interpreter is None else 3
    name = b"" if interpreter is None else interpreter.encode() + b"\0"
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    entry = struct.pack("<IIQQQQQQ", kind, 4, 120, 0, 0, len(name), len(name), 1)
    path.write_bytes(head + entry + name)
    return path


def test_interpreter_is_read_from_the_program_header(tmp_path):
    path = elf(tmp_path / "a", "/lib64/ld-linux-x86-64.so.2")
    assert interpreter_of(path) == "/lib64/ld-linux-x86-64.so.2"


def test_static_program_has_no_interpreter(tmp_path):
    assert interpreter_of(elf(tmp_path / "a")) is None


@pytest.mark.parametrize("length", [0, 3, 20, 63, 64, 100, 119])
def test_truncated_program_is_refused(tmp_path, length):
    path = elf(tmp_path / "a", "/lib/ld.so")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DeviceError):
        interpreter_of(path)


def test_offset_beyond_all_bounds_is_refused(tmp_path):
    path = elf(tmp_path / "a", "/lib/ld.so")
    data = bytearray(path.read_bytes())
    data[32:40] = b"\xff" * 8
    path.write_bytes(bytes(data))
    with pytest.raises(DeviceError):
        interpreter_of(path)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("qemu-aarch64 version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", (7, 2)),
        ("qemu-aarch64 version 10.0.8 (Debian 1:10.0.8+ds-0)\nCopyright", (10, 0)),
        ("usage: something", None),
        ("", None),
    ],
)
def test_version_is_read(text, version):
    assert read_version(text) == version


def test_qemu_7_is_refused_with_the_reason(tmp_path):
    reason = refuse_qemu(elf(tmp_path / "qemu"), (7, 2))
    assert "LiteRT crashes in 7.2" in reason
    assert "silently wrong" in reason


def test_dynamic_qemu_is_refused(tmp_path):
    reason = refuse_qemu(elf(tmp_path / "qemu", "/lib/ld.so"), (10, 0))
    assert "shared libraries" in reason


def test_static_qemu_10_is_accepted(tmp_path):
    assert refuse_qemu(elf(tmp_path / "qemu"), (10, 0)) is None


def test_script_in_the_place_of_qemu_is_refused(tmp_path):
    script = tmp_path / "qemu"
    script.write_text("#!/bin/sh\n")
    assert refuse_qemu(script, (10, 0)) is not None


def test_old_qemu_of_the_machine_is_named_with_the_way_out(tmp_path, monkeypatch):
    program = tmp_path / "qemu-aarch64"
    program.write_text("#!/bin/sh\necho qemu-aarch64 version 7.2.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DeviceError) as caught:
        find_qemu(offline=True)
    assert "version 7.2 is refused" in str(caught.value)
    assert "without --offline" in str(caught.value)


@pytest.mark.parametrize("name", ["max", "host"])
def test_processors_that_compute_wrongly_are_refused(name):
    with pytest.raises(InputError, match="wrongly"):
        cpu_named(name)


def test_unknown_processor_is_refused():
    with pytest.raises(InputError, match="received 'pentium'"):
        cpu_named("pentium")


# Arm's technical reference manuals, MIDR_EL1: A53 0xD03, A72 0xD08, A76 0xD0B.
@pytest.mark.parametrize(
    ("name", "part"),
    [("cortex-a53", "0xd03"), ("cortex-a72", "0xd08"), ("cortex-a76", "0xd0b")],
)
def test_cpuinfo_names_the_part(name, part):
    lines = CPUS[name].cpuinfo.splitlines()
    assert lines.count(f"CPU part\t: {part}") == 4
    assert [line for line in lines if line.startswith("processor")] == [
        f"processor\t: {number}" for number in range(4)
    ]


def test_only_the_newest_default_processor_has_dot_products():
    found = {name: "asimddp" in CPUS[name].cpuinfo.split() for name in DEFAULT_CPUS}
    assert found == {"cortex-a72": False, "cortex-a76": True}
