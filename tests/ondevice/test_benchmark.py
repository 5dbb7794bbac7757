import json
import subprocess
import sys

import numpy as np
import pytest

from edgedeploy.ondevice.benchmark import main
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.host import describe_host, is_emulated, peak_rss_bytes
from edgedeploy.ondevice.intervals import paired_ratio, percentiles
from edgedeploy.ondevice.latency import measure
from edgedeploy.ondevice.tensors import TensorInfo
from edgedeploy.ondevice.trial import make_input


@pytest.fixture(scope="module")
def result(tiny_models, tmp_path_factory):
    broken = tmp_path_factory.mktemp("broken") / "broken.tflite"
    broken.write_bytes(b"TFL3" * 100)
    done = []
    models = {**tiny_models, "broken": broken, "missing": broken.with_name("none")}
    result = measure(
        models,
        threads=(1, 2),
        warmup_runs=1,
        min_rounds=7,
        seconds_budget=0,
        progress=lambda n, total: done.append((n, total)),
    )
    return result, done


def test_every_model_is_timed_in_every_round(result):
    measured, done = result
    assert done == [(n, None) for n in range(1, 8)]
    for recipe in ("float32", "dynamic_int8", "int8"):
        facts = measured["variants"][recipe]
        assert set(facts["threads"]) == {"1", "2"}
        for row in facts["threads"].values():
            assert row["runs"] == 7
            assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
            low, high = row["speedup_vs_float32"]["ci95"]
            assert low <= row["speedup_vs_float32"]["ratio"] <= high
        assert facts["load_ms"] > 0
        assert facts["first_invoke_ms"] > 0
        assert facts["delegate"] == "XNNPACK"
        # Python with NumPy takes tens of megabytes.
        assert 10e6 < facts["peak_rss_bytes"] < 1e9


def test_samples_do_not_leave_the_function(result):
    assert "samples" not in json.dumps(result[0])


def test_reference_is_once_as_fast_as_itself(result):
    row = result[0]["variants"]["float32"]["threads"]["1"]
    assert row["speedup_vs_float32"] == {"ratio": 1.0, "ci95": [1.0, 1.0]}


def test_model_that_fails_has_an_error_line_and_a_reason(result):
    variants, unmeasured = result[0]["variants"], result[0]["unmeasured"]
    assert set(variants["broken"]) == {"error"}
    assert "broken.tflite" in variants["broken"]["error"]
    assert "cannot be read" in variants["missing"]["error"]
    assert unmeasured["variants.broken"] == variants["broken"]["error"]


def test_without_float32_there_is_no_ratio_but_a_reason(tiny_models):
    result = measure(
        {"int8": tiny_models["int8"]}, warmup_runs=1, min_rounds=1, seconds_budget=0
    )
    assert result["variants"]["int8"]["threads"]["1"]["speedup_vs_float32"] is None
    assert "variants.int8.speedup_vs_float32" in result["unmeasured"]


def test_crash_of_the_runtime_costs_its_own_model_only(tiny_models, tmp_path):
    """The child is killed in mid-run, as a crash of native code would end it."""
    import os
    import signal

    from edgedeploy.ondevice.trial import Trial, TrialError

    trial = Trial(tiny_models["int8"], "auto")
    try:
        trial.load(1)
        os.kill(trial._child.pid, signal.SIGSEGV)
        with pytest.raises(TrialError, match="SIGSEGV"):
            trial.run(1)
    finally:
        trial.close()


def test_child_ends_when_its_parent_is_killed(tiny_models):
    script = (
        "import sys, pathlib\n"
        "from edgedeploy.ondevice.trial import Trial\n"
        "t = Trial(pathlib.Path(sys.argv[1]), 'auto')\n"
        "t.load(1)\n"
        "print(t._child.pid, flush=True)\n"
        "import os; os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tiny_models["int8"]],
        capture_output=True,
        text=True,
        check=False,
    )
    pid = int(done.stdout)
    import time
    from pathlib import Path

    for _ in range(100):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the child outlived its parent by 10 s")


@pytest.mark.parametrize(
    "arguments",
    [
        {"models": {}},
        {"threads": ()},
        {"threads": (0,)},
        {"threads": (1, 1)},
        {"min_rounds": 0},
        {"runtime": "none"},
    ],
)
def test_senseless_argument_is_refused(tiny_models, arguments):
    with pytest.raises(ContractError):
        measure(**{"models": tiny_models, **arguments})


def test_input_is_the_same_everywhere_and_in_range():
    shape = (1, 2, 2, 3)
    byte = make_input(TensorInfo("x", shape, "uint8", 0.1, 3))
    # The first values of NumPy's PCG64 with seed 0, which NumPy promises to keep.
    assert (
        byte.ravel()[:4].tolist()
        == np.random.default_rng(0).integers(0, 256, 12, np.uint8)[:4].tolist()
    )
    real = make_input(TensorInfo("x", shape, "float32", 0.0, 0))
    assert real.dtype == np.float32
    assert np.allclose(real, byte / 127.5 - 1, atol=1e-6)
    signed = make_input(TensorInfo("x", shape, "int8", 0.1, 0))
    assert (signed.astype(int) == byte.astype(int) - 128).all()
    with pytest.raises(ContractError, match="float64"):
        make_input(TensorInfo("x", shape, "float64", 0.0, 0))


def test_percentiles_of_a_known_list():
    # Linear interpolation between order statistics: 0..100 gives the rank itself.
    assert percentiles(list(range(101))) == {
        "p50_ms": 50.0,
        "p90_ms": 90.0,
        "p99_ms": 99.0,
    }
    with pytest.raises(ContractError):
        percentiles([])


def test_paired_ratio_cancels_drift_that_slows_both():
    drift = np.linspace(1, 5, 40)
    assert paired_ratio(6 * drift, 2 * drift, seed=1) == pytest.approx((3, 3, 3))


def test_paired_ratio_interval_covers_the_truth_and_shrinks():
    rng = np.random.default_rng(2)
    widths = []
    for count in (20, 500):
        reference = 2 * rng.lognormal(0, 0.2, count)
        ratio, low, high = paired_ratio(reference, rng.lognormal(0, 0.2, count), seed=1)
        assert low <= ratio <= high
        assert low < 2 < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [1, 2]), ([0], [1]), ([1], [-1])])
def test_rounds_that_do_not_pair_are_refused(a, b):
    with pytest.raises(ContractError):
        paired_ratio(a, b, seed=0)


def test_host_describes_this_machine():
    host = describe_host()
    assert host["cores"] >= 1
    assert host["runtime"] == "litert"
    assert host["emulated"] is False
    assert set(host) == {
        "machine", "cpu", "cores", "python", "runtime", "runtime_version", "os",
        "governor", "throttled", "temperature_c", "emulated",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "name", "emulated"),
    [
        ("aarch64", "vendor_id\t: GenuineIntel\nmodel name\t: Xeon", "python3", True),
        ("aarch64", "CPU implementer\t: 0x41\nCPU part\t: 0xd08", "python3", False),
        ("aarch64", "CPU implementer\t: 0x41", "qemu-aarch64", True),
        ("x86_64", "vendor_id\t: GenuineIntel", "python3", False),
        ("x86_64", "model name\t: QEMU TCG CPU version 2.5+", "python3", True),
        ("armv7l", "", "python3", False),
    ],
)
def test_emulation_is_seen(tmp_path, machine, cpuinfo, name, emulated):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert is_emulated(machine, tmp_path, name) is emulated


@pytest.mark.parametrize(
    ("machine", "kernel", "emulated"),
    [
        ("aarch64", "x86_64", True),
        ("armv7l", "x86_64", True),
        ("aarch64", "aarch64", False),
        # A 32-bit system on a 64-bit kernel.
        ("armv7l", "aarch64", False),
        ("armv7l", "arm", False),
        ("x86_64", "x86_64", False),
    ],
)
def test_emulation_is_seen_by_the_kernels_architecture(
    tmp_path, machine, kernel, emulated
):
    (tmp_path / "cpuinfo").write_text("CPU implementer\t: 0x41\n")
    (tmp_path / "sys" / "kernel").mkdir(parents=True)
    (tmp_path / "sys" / "kernel" / "arch").write_text(f"{kernel}\n")
    assert is_emulated(machine, tmp_path, "python3") is emulated


def test_peak_memory_is_read_in_bytes():
    assert peak_rss_bytes("VmPeak:\t 9 kB\nVmHWM:\t   2048 kB\n") == 2 * 1024 * 1024
    assert peak_rss_bytes("VmHWM: garbage") is None
    assert peak_rss_bytes("") is None


def test_command_prints_a_table_and_json(tiny_bundle, capsys):
    arguments = ["--folder", str(tiny_bundle), "--threads", "1", "--seconds", "1"]
    assert main(arguments) == 0
    assert "int8" in capsys.readouterr().out
    assert main([*arguments, "--variant", "int8", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["variants"]) == ["int8"]
    assert main([*arguments, "--variant", "int4"]) == 2
    assert main(["--folder", str(tiny_bundle / "none")]) == 2
    (tiny_bundle / "models/int8.tflite").write_bytes(b"")
    assert main([*arguments, "--variant", "int8"]) == 1
