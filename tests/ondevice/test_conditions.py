import json
import os

import pytest

from edgedeploy.ondevice.conditions import (
    Conditions,
    compare_conditions,
    explain_missing,
    read_conditions,
    throttle_bits,
)
from edgedeploy.ondevice.figures import print_figures
from edgedeploy.ondevice.latency import measure


def look(throttled="0x0", governor="ondemand", temperature_c=50.0):
    return Conditions(
        governor=governor, throttled=throttled, temperature_c=temperature_c
    )


@pytest.mark.parametrize(
    ("before", "after", "during", "words"),
    [
        ("0x0", "0x0", 0, []),
        # Throttled once since the start of the system, long before this run.
        ("0x40000", "0x40000", 0x40000, []),
        ("0x0", "0x80008", 0x80008, ["during the run: the soft temperature limit"]),
        # Seen only in the middle, or told only by the bit that remembers.
        ("0x0", "0x0", 0x1, ["during the run: under-voltage"]),
        ("0x0", "0x40000", 0x40000, ["during the run: throttled"]),
        ("0x50005", "0x50005", 0x50005, ["from the start: under-voltage, throttled"]),
        ("0x50005", "0x50000", 0x50005, ["from the start", "ended during the run"]),
        (None, None, 0, []),
    ],
)
def test_change_of_throttling_is_flagged(before, after, during, words):
    found = compare_conditions(look(before), look(after), during)
    assert len(found) == len(words)
    assert all(text.startswith(word) for text, word in zip(found, words, strict=True))


def test_change_of_governor_is_flagged():
    found = compare_conditions(look(), look(governor="powersave"), 0)
    assert found == ["the clock's governor changed from ondemand to powersave"]


@pytest.mark.parametrize(
    ("word", "bits"), [(None, 0), ("", 0), ("0x50005", 0x50005), ("nonsense", 0)]
)
def test_firmwares_word_is_read(word, bits):
    assert throttle_bits(word) == bits


def test_machine_is_read_from_sys(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, text in {
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
        "sys/class/thermal/thermal_zone0/temp": "61234\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert read_conditions(tmp_path) == look("0x50005", "performance", 61.2)
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").write_bytes(b"\xff")
    (tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled").write_text("?")
    assert read_conditions(tmp_path) == look(None, "performance", None)
    assert read_conditions(tmp_path / "none") == look(None, None, None)


def test_firmware_is_asked_while_the_models_run(
    tiny_models, tmp_path, monkeypatch, capsys
):
    """A program named vcgencmd on PATH that throttles after it was asked twice."""
    program = tmp_path / "vcgencmd"
    program.write_text(
        f"#!/bin/sh\necho x >>{tmp_path}/asked\n"
        f'[ "$(wc -l <{tmp_path}/asked)" -gt 2 ] && word=0x80008 || word=0x0\n'
        'echo "throttled=$word"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    result = measure(
        {"int8": tiny_models["int8"]}, warmup_runs=1, min_rounds=2, seconds_budget=0
    )
    conditions = result["conditions"]
    assert conditions["before"]["throttled"] == "0x0"
    assert conditions["after"]["throttled"] == "0x80008"
    assert conditions["throttled_during"] == "0x80008"
    assert conditions["warnings"] == [
        "during the run: the soft temperature limit is active"
    ]
    assert "conditions.before.throttled" not in result["unmeasured"]
    json.dumps(result)
    print_figures(result)
    assert "doubtful: during the run: the soft temperature" in capsys.readouterr().out


def test_every_missing_figure_has_its_reason():
    nothing = {"governor": None, "throttled": None, "temperature_c": None}
    summary = {
        "before": nothing, "after": {**nothing, "governor": "ondemand"},
        "throttled_during": None, "hottest_c": None, "warnings": [],
    }  # fmt: skip
    assert set(explain_missing(summary)) == {
        "conditions.before.governor", "conditions.before.throttled",
        "conditions.before.temperature_c", "conditions.after.throttled",
        "conditions.after.temperature_c", "conditions.throttled_during",
        "conditions.hottest_c",
    }  # fmt: skip
