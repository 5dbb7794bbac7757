"""A real bundle on a real sshd: its own installer, self-test and benchmark."""

import json
import os
import tempfile
from pathlib import Path

import pytest
import tiny_models as tiny

from edgedeploy.targets.raspberry_pi.bundle import write_bundle
from edgedeploy.targets.raspberry_pi.wheelhouse import resolve
from edgedeploy.workspace import cache_folder

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def bundles():
    """Two versions of a bundle that this machine can install."""
    if os.uname().machine != "x86_64":
        pytest.skip("needs an x86_64 machine: the test's bundle is for one")
    house = resolve("3.11", "x86_64", cache=cache_folder(), locked=None, offline=False)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, facts in enumerate(({"edgedeploy": "1"}, {"edgedeploy": "2"})):
            payload = tiny.build_tiny_payload(tiny.tiny_models(), facts=facts)
            path = Path(folder) / str(number) / "tiny-pi-3.11-x86_64.tar.gz"
            path.parent.mkdir()
            write_bundle(
                path, payload=payload, wheelhouse=house, python="3.11", arch="x86_64"
            )
            paths.append(path)
        yield paths


def test_install_selftest_benchmark_upgrade(serve, bundles, ask, monkeypatch, tmp_path):
    server = serve(home_kb=1_500_000)
    if "3.11" not in server.shell("python3.11 -V 2>&1 || python3 -V"):
        pytest.skip("needs Python 3.11 with venv: apt-get install python3.11-venv")
    monkeypatch.chdir(tmp_path)
    old, new = (str(path) for path in bundles)
    flags = ("--host", "board", "--ssh-config", str(server.config))

    code, host, err = ask("pi.install", *flags, "--path", old)
    assert code == 0, err
    assert host["sent_bytes"] > 20_000_000

    code, host, _ = ask("pi.selftest", *flags, "--path", old)
    assert (code, host["passed"]) == (0, True)
    assert host["selftest"]["delegates"]

    timing = ("--path", old, "--seconds", "3")
    code, host, err = ask("pi.benchmark", *flags, *timing)
    assert code == 0, err
    figures = json.loads((tmp_path / "build/tiny/benchmark.json").read_text())
    entry = figures["devices"][host["device_id"]]
    assert set(entry["variants"]) == {"float32", "dynamic_int8", "int8"}
    for facts in entry["variants"].values():
        assert facts["threads"]["1"]["p50_ms"] > 0
    assert entry["host"]["os"]
    assert {"board", "temperature_c", "throttled", "governor", "emulated"} <= set(
        entry["host"]
    )
    # No figure may be missing without its reason.
    where = f"devices.{host['device_id']}"
    for name, value in entry["host"].items():
        assert value is not None or figures["unmeasured"][f"{where}.host.{name}"]

    # Another version shares the wheels and the models: kilobytes are sent.
    code, host, err = ask("pi.install", *flags, "--path", new)
    assert code == 0, err
    assert host["sent_bytes"] < 100_000
    code, host, _ = ask("pi.benchmark", *flags, *timing)
    assert code == 1
    assert "another version of tiny is in use" in host["detail"]

    # A damaged model is found by the self-test, and its check named.
    prefix = server.home / ".local/opt/edgedeploy/tiny"
    model = prefix / (prefix / "current").readlink() / "models/int8.tflite"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    code, host, err = ask("pi.selftest", *flags, "--path", new)
    assert (code, host["passed"]) == (1, False)
    assert "int8.tflite" in host["detail"]
    assert err.splitlines()[-1].startswith("error: board: ")
