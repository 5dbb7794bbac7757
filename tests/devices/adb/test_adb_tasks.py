"""Install, self-test and benchmark on a phone in Python that real adb talks to."""

import hashlib
import json

import pytest

from edgedeploy.devices.adb import benchmark
from edgedeploy.devices.adb.selftest import read_checks
from edgedeploy.devices.adb.tool import parse_run
from edgedeploy.errors import DeviceError

APK = bytes(range(256)) * 1000

# As benchmark_model printed it on a phone in 2025, XNNPACK's line included.
PRINTED = """\
INFO: STARTING!
INFO: Num threads: [{threads}]
INFO: Graph: [{graph}]
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 2168 out of 2168 node(s) with delegate (TfLiteXNNPackDelegate) \
node, yielding 1 partitions for subgraph 0.
INFO: The input model file size (MB): 24.6229
INFO: Initialized session in 119.515ms.
INFO: Running benchmark for at least 2 iterations and at least 0 seconds.
INFO: count=2 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478 \
p5=51629 median=51962 p95=87112
INFO: Running benchmark for at least 5 iterations and at least 0 seconds.
INFO: count=5 first=52162 curr=49785 min=49088 max=686105 avg=63743.2 std=60716 \
p5=49620 median={median} p95=68628
INFO: Inference timings in us: Init: 119515, First inference: 87112, \
Warmup (avg): 58147.4, Inference (avg): 63743.2
INFO: Memory footprint delta from the start of the tool (MB): init=55.4 overall=55.5
INFO: Overall peak memory footprint (MB) via periodic monitoring: 64.5
"""
OLDER = """\
count=50 first=79449 curr=81350 min=77385 max=88213 avg=79732 std=1929
Inference timings in us: Init: 4108, First inference: 91471, Warmup (avg): 91471, \
Inference (avg): 80660.1
"""


@pytest.fixture
def built(ask, monkeypatch):
    """A build's variants, float32 and int8; measured in as few rounds as may be."""
    monkeypatch.setattr(benchmark, "MAX_ROUNDS", benchmark.MIN_ROUNDS)
    for recipe in ("float32", "int8"):
        data = recipe.encode() * 50_000
        folder = ask.folder / "build" / "efficientnet_lite0" / "variants" / recipe
        folder.mkdir(parents=True)
        (folder / "model.tflite").write_bytes(data)
        facts = {"sha256": hashlib.sha256(data).hexdigest(), "deflated_bytes": 9}
        (folder / "variant.json").write_text(json.dumps(facts))
    return ask.folder / "build" / "efficientnet_lite0"


@pytest.fixture
def tool(tmp_path):
    """A program that prints what benchmark_model prints; float32 takes 20 ms."""
    path = tmp_path / "benchmark_model"
    text = PRINTED.format(graph="$graph", threads="$threads", median="$median")
    path.write_text(
        "#!/bin/sh\n"
        'for word; do case "$word" in\n'
        "--graph=*) graph=${word#*=};;\n"
        "--num_threads=*) threads=${word#*=};;\n"
        "esac; done\n"
        "median=5000\n"
        'if head -c 5 "$graph" | grep -q float; then median=20000; fi\n'
        f"cat <<X\n{text}X\n"
    )
    return path


def measure(ask, program, **flags):
    usual = {"model": "efficientnet_lite0", "seconds": "1", "tool": str(program)}
    pairs = (usual | flags).items()
    return ask("android.benchmark", *(w for k, v in pairs for w in (f"--{k}", v)))


def install_with(phone, answer):
    phone.program("pm", f'[ "$1" = install ] && {answer}')


def test_apk_arrives_whole_and_is_installed(attach, ask, tmp_path):
    phone = attach()
    apk = tmp_path / "app.apk"
    apk.write_bytes(APK)
    install_with(phone, f"sha256sum {phone.storage}/app.apk >&2 && echo Success")
    code, phones, said = ask("android.install", "--path", str(apk))
    assert code == 0, said
    assert phones[phone.serial] == {
        "passed": True,
        "detail": "installed app.apk",
        "apk": "app.apk",
        "size_bytes": len(APK),
    }


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("INSTALL_FAILED_UPDATE_INCOMPATIBLE: x", "another key signed the installed"),
        ("INSTALL_FAILED_INSUFFICIENT_STORAGE", "too little room"),
        ("INSTALL_FAILED_NEVER_SEEN", "see adb logcat"),
    ],
)
def test_androids_refusal_is_said_in_words(attach, ask, tmp_path, reason, words):
    phone = attach()
    apk = tmp_path / "app.apk"
    apk.write_bytes(APK)
    install_with(phone, f"echo 'Failure [{reason}]'")
    code, phones, _ = ask("android.install", "--path", str(apk))
    assert code == 1
    assert words in phones[phone.serial]["detail"]


def test_cable_that_comes_off_is_one_clear_line(attach, ask, tmp_path):
    phone = attach()
    phone.drop_after = 100_000
    apk = tmp_path / "app.apk"
    apk.write_bytes(APK * 20)
    code, _, said = ask("android.install", "--path", str(apk))
    assert code == 1
    assert "the connection dropped during installing" in said
    assert not (phone.storage / "app.apk").exists()


def test_what_is_no_apk_is_refused_before_adb_is_asked(ask, tmp_path):
    (tmp_path / "x.aab").write_bytes(b"x")
    code, _, said = ask("android.install", "--path", str(tmp_path / "x.aab"))
    assert code == 2
    assert "adb installs .apk files" in said
    code, _, said = ask("android.install", "--model", "efficientnet_lite0")
    assert code == 2
    assert "efficientnet_lite0-assets.apk: no such file" in said


def test_figures_go_to_benchmark_json(attach, ask, built, tool):
    phone = attach()
    phone.program("nproc", "echo 2")
    code, phones, said = measure(ask, tool)
    assert code == 0, said
    assert phones[phone.serial]["detail"].startswith("p50: float32 20.0 ms")
    found = json.loads((built / "benchmark.json").read_text())
    device = found["devices"]["google-pixel-x"]
    host = device["host"]
    assert host["soc"] == "Google Tensor G9"
    assert host["abi"] == "arm64-v8a"
    assert host["thermal_status"] == "moderate"
    assert not host["emulated"]
    int8 = device["variants"]["int8"]
    assert set(int8["threads"]) == {"1", "2"}
    row = int8["threads"]["1"]
    assert row["p50_ms"] == 5.0
    assert row["speedup_vs_float32"] == {"ratio": 4.0, "ci95": [4.0, 4.0]}
    assert row["p90_ms"] is None
    assert row["runs"] == 5 * row["rounds"]
    assert int8["load_ms"] == 119.515
    assert int8["first_invoke_ms"] == 87.112
    assert int8["peak_rss_bytes"] == int(64.5 * 1024 * 1024)
    assert int8["delegate"] == "XNNPACK"
    assert int8["deflated_bytes"] == 9
    prefix = "devices.google-pixel-x.variants.int8.threads.1"
    assert "median a run" in found["unmeasured"][f"{prefix}.p90_ms"]
    assert "severe" not in json.dumps(device["conditions"]["warnings"])
    assert "moderate before" in device["conditions"]["warnings"][0]


def test_models_that_are_there_are_not_sent_again(attach, ask, built, tool):
    phone = attach()
    assert "sending model.tflite" in measure(ask, tool, recipes="int8")[2]
    assert "sending" not in measure(ask, tool, recipes="int8")[2]
    # A damaged one is.
    folder = phone.storage / "edgedeploy"
    next(folder.glob("*-model.tflite")).write_bytes(b"damaged")
    assert measure(ask, tool, recipes="int8")[2].count("sending model.tflite") == 1


def test_tools_name_means_nothing_to_the_phones_shell(attach, ask, built, tool):
    phone = attach()
    phone.program("nproc", "echo 1")
    odd = tool.rename(tool.with_name("bench 'mark; touch $(echo x) & (1)"))
    code, phones, said = measure(ask, odd, recipes="int8")
    assert code == 0, said
    assert phones[phone.serial]["detail"] == "p50: int8 5.0 ms (1 threads)"


def test_model_that_fails_does_not_hide_the_others(attach, ask, built, tool):
    phone = attach()
    text = tool.read_text().replace(
        "median=5000\n", 'head -c 4 "$graph" | grep -q int8 && exit 134\nmedian=5000\n'
    )
    tool.write_text(text)
    code, phones, _ = measure(ask, tool)
    assert code == 1
    assert phones[phone.serial]["detail"].startswith("int8: the phone's shell says")
    found = json.loads((built / "benchmark.json").read_text())
    variants = found["devices"]["google-pixel-x"]["variants"]
    assert variants["float32"]["threads"]["1"]["p50_ms"] == 20.0
    assert "error" in variants["int8"]


def test_full_storage_is_one_clear_line(attach, ask, built, tool):
    phone = attach()
    # A file where the folder should be.
    (phone.storage / "edgedeploy").write_text("x")
    code, _, said = measure(ask, tool)
    assert code == 1
    assert f"error: {phone.serial}: the phone's shell says: mkdir" in said


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"tool": "nope"}, "--tool takes the path of benchmark_model"),
        ({"recipes": "int4"}, "no int4 were built; there are float32, int8"),
        ({"seconds": "0"}, "--seconds must be at least 1"),
    ],
)
def test_bad_values_are_refused_before_adb_is_asked(ask, built, tool, flags, complaint):
    code, _, said = measure(ask, tool, **flags)
    assert code == 2
    assert complaint in said


def test_older_tools_give_a_mean_and_no_peak():
    found = parse_run("x", OLDER)
    assert (found.time_ms, found.is_median, found.count) == (80.6601, False, 50)
    assert (found.init_ms, found.peak_bytes, found.delegate) == (4.108, None, "none")
    for text in ("", "Killed\n", "Inference timings in us: Init: 1"):
        with pytest.raises(DeviceError, match="printed no figures"):
            parse_run("x", text)


@pytest.mark.parametrize("number", ["0", "1e999", "1.2.3", ".", "9" * 400])
def test_impossible_figures_are_refused(number):
    with pytest.raises(DeviceError, match="benchmark_model printed"):
        parse_run("x", OLDER.replace("80660.1", number))


APP = """\
case "$1" in start) ;; *) exit 1;; esac
for word; do token=$word; done
{{
{lines}
}} >>"$(dirname "$0")/log"
"""


def app(phone, *lines, error=""):
    """An app whose self-test logs some lines, of which %s is the token."""
    echoes = "\n".join(f'echo "{line}"' for line in lines).replace("%s", "$token")
    phone.program("am", APP.format(lines=f"{echoes}\n:") + (error and f"echo {error}"))
    phone.program("logcat", 'cat "$(dirname "$0")/log" 2>/dev/null')


def test_selftest_reads_the_log_of_its_own_run(attach, ask):
    phone = attach()
    (phone.folder / "bin" / "log").write_text("0123 FAILED old: of an earlier run\n")
    app(phone, "%s ok picture 1.png: equal", "%s ok int8: fine", "%s end 2 2")
    code, phones, said = ask("android.selftest", "--model", "efficientnet_lite0")
    assert code == 0, said
    assert "starting edgedeploy.model.efficientnet_lite0.app" in said
    assert phones[phone.serial]["detail"] == "2 checks passed"


def test_failed_check_fails_the_selftest(attach, ask):
    phone = attach()
    app(phone, "%s ok a: b", "%s FAILED int8 on 1.png: class 3: off", "%s end 1 2")
    code, phones, _ = ask("android.selftest", "--package", "org.example.app")
    assert code == 1
    assert phones[phone.serial]["detail"] == "int8 on 1.png: class 3: off"


def test_app_that_is_not_installed_is_one_clear_line(attach, ask):
    phone = attach()
    app(phone, error="Error: Activity class does not exist.")
    code, _, said = ask("android.selftest", "--package", "org.example.app")
    assert code == 1
    assert "the app does not start (Error: Activity class does not exist.)" in said


def test_am_that_fails_without_a_word_is_no_start(attach, ask):
    attach().program("am", "exit 7")
    code, _, said = ask("android.selftest", "--package", "org.example.app")
    assert code == 1
    assert "the app does not start (Error: exit code 7)" in said


def test_release_build_that_adb_may_not_start_is_said(attach, ask):
    phone = attach()
    denial = "java.lang.SecurityException: Permission Denial: not exported from uid 1"
    for end in ("exit 255", ":"):
        phone.program("am", f"echo '{denial}'; {end}")
        code, _, said = ask("android.selftest", "--package", "org.example.app")
        assert code == 1
        assert "as no release build does; install the debug build" in said


def test_application_ids_are_checked_before_they_reach_a_shell(attach, ask):
    phone = attach()
    app(phone)
    code, phones, _ = ask("android.selftest", "--package", "a.b; reboot")
    assert code == 1
    assert "is no application id" in phones[phone.serial]["detail"]
    assert not (phone.folder / "bin" / "log").exists()


def test_log_that_lost_lines_proves_nothing():
    assert read_checks("", "ab") is None
    assert read_checks("ab ok x: y\nother ok x: y\n", "ab") is None
    assert read_checks("ab ok x: y\r\nab end 1 1\r\n", "ab") == (("x", True, "y"),)
    for log in ("ab end 1 1\n", "ab ok x: y\nab end 0 1", "ab end 0 0", "ab end x"):
        with pytest.raises(DeviceError, match="self-test"):
            read_checks(log, "ab")
