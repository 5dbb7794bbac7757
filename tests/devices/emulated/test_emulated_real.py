"""Levels a to c for real: Debian's packages, an emulated Arm, a bundle of ours."""

import json
import subprocess
import sys

import pytest

from edgedeploy.devices.emulated.arm_root import prepare_root
from edgedeploy.devices.emulated.cpus import cpu_named
from edgedeploy.devices.emulated.qemu import find_qemu
from edgedeploy.devices.emulated.runner import emulated_system
from edgedeploy.devices.emulated.tracer import prepare_tracer
from edgedeploy.devices.emulated.unavailable import Unavailable
from edgedeploy.devices.processes import Job, run
from edgedeploy.targets.raspberry_pi.bundle import write_bundle
from edgedeploy.targets.raspberry_pi.debian import write_package
from edgedeploy.targets.raspberry_pi.wheelhouse import resolve

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def parts(lasting_cache):
    """A qemu, a tracer and a root, or a skip that says what is missing."""
    try:
        return find_qemu(), prepare_tracer(), prepare_root("bookworm")
    except Unavailable as error:
        pytest.skip(f"cannot emulate Arm here: {error}")


@pytest.fixture(scope="module")
def bundles(tiny_payload, tmp_path_factory, parts):
    """A build folder with the tiny model's tarball and package for Python 3.11."""
    root = tmp_path_factory.mktemp("project")
    folder = root / "build" / "tiny" / "pi"
    folder.mkdir(parents=True)
    from edgedeploy.workspace import cache_folder

    house = resolve("3.11", "aarch64", cache=cache_folder(), locked=None, offline=False)
    write_bundle(
        folder / "tiny-pi-3.11-aarch64.tar.gz",
        payload=tiny_payload,
        wheelhouse=house,
        python="3.11",
        arch="aarch64",
    )
    write_package(
        folder / "tiny-pi-3.11-aarch64.deb",
        payload=tiny_payload,
        wheelhouse=house,
        version="1.0-1+py3.11",
    )
    return root


def verify(root, name, *flags):
    """Run the task as a user would; give its JSON and its exit code."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgedeploy", "pi.verify", "--json"),
            *("--path", f"build/tiny/pi/{name}", *flags),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)["levels"], done.returncode


def told(levels):
    """What did not pass, for the message of a failing test."""
    return "\n".join(f"{name}: {level['detail']}" for name, level in levels.items())


def passed(level):
    return {check["name"]: check["passed"] for check in level["checks"]}


def test_tarball_reaches_levels_a_to_c(bundles):
    levels, code = verify(bundles, "tiny-pi-3.11-aarch64.tar.gz")
    assert code == 0, told(levels)
    assert passed(levels["b"]) == {
        "float32 on cortex-a72": True,
        "dynamic_int8 on cortex-a72": True,
        "int8 on cortex-a72": True,
        "int8 before softmax on cortex-a72": True,
        "float32 on cortex-a76": True,
        "dynamic_int8 on cortex-a76": True,
        "int8 on cortex-a76": True,
        "int8 before softmax on cortex-a76": True,
        "emulator": True,
    }
    details = {check["name"]: check["detail"] for check in levels["b"]["checks"]}
    assert "bit for bit" in details["int8 on cortex-a76"]
    steps = ("network", "install", "classify", "uninstall", "leftovers")
    assert passed(levels["c"]) == {
        f"bookworm on cortex-a72: {step}": True for step in steps
    }
    assert [levels[name]["passed"] for name in "abcd"] == [True, True, True, None]
    record = bundles / "build/tiny/.verification"
    found = json.loads(
        (record / "pi-levels-tiny-pi-3.11-aarch64.tar.gz.json").read_text()
    )
    assert found["levels"]["c"]["passed"] is True


def test_package_is_installed_by_dpkg_and_purged(bundles):
    levels, code = verify(bundles, "tiny-pi-3.11-aarch64.deb", "--level", "a,c")
    assert code == 0, told(levels)
    assert levels["c"]["passed"] is True


def test_network_is_cut_and_the_root_is_not_written_to(parts):
    qemu, tracer, root = parts
    try:
        with emulated_system(root, qemu, tracer, cpu_named("cortex-a76")) as system:
            script = (
                "touch /etc/changed; python3 -c 'import socket; "
                'socket.create_connection(("127.0.0.1", 53), 1)\''
            )
            ended = run(
                Job(
                    command=system.command("/bin/sh", "-c", script),
                    what="sh",
                    timeout_s=300.0,
                )
            )
            assert "Network is unreachable" in ended.text
            assert (system.folder / "etc/changed").exists()
    except Unavailable as error:
        pytest.skip(f"cannot emulate a whole system here: {error}")
    assert not (root.folder / "etc/changed").exists()
    assert not system.folder.exists()


def test_machine_that_forbids_namespaces_gets_null_and_the_reason(parts):
    qemu, tracer, root = parts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "edgedeploy.devices.emulated.runner._NAMESPACES", ("/usr/bin/false",)
        )
        with (
            pytest.raises(Unavailable, match="needs root, or user namespaces"),
            emulated_system(root, qemu, tracer, cpu_named("cortex-a72")),
        ):
            raise AssertionError("it must not start")
