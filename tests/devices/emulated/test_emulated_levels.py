import contextlib
import gzip
import shutil

import pytest

from edgedeploy.devices.emulated.levels import (
    LEVELS,
    Request,
    combine,
    verify_levels,
)
from edgedeploy.devices.emulated.outcome import EMULATED, Outcome, not_run, sum_up
from edgedeploy.errors import InputError
from edgedeploy.isolate import silent
from edgedeploy.results import Check


@contextlib.contextmanager
def announce(_what):
    yield silent


def verify(path, **request):
    return verify_levels(path, Request(**request), announce)


def check(passed, name="n", detail="d"):
    return Check(level=EMULATED, name=name, passed=passed, detail=detail)


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ((True, True), True),
        ((True, False), False),
        ((True, None), None),
        ((None, False), False),
        ((), None),
    ],
)
def test_level_has_passed_only_where_all_of_it_ran_and_passed(given, passed):
    assert sum_up([check(one) for one in given], seconds=1.0).passed is passed


def test_level_that_was_not_run_is_null_with_the_reason():
    assert not_run("no root").to_dict() == {
        "passed": None,
        "checks": [],
        "detail": "not run: no root",
        "seconds": 0.0,
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"levels": ("a", "e")}, "received 'e'"),
        ({"levels": ()}, "at least one"),
        ({"cpus": ("max",)}, "refused"),
        ({"cpus": ()}, "at least one"),
        ({"suites": ("sid",)}, "received 'sid'"),
    ],
)
def test_what_cannot_be_verified_is_refused_at_once(wrong, said):
    with pytest.raises(InputError, match=said):
        Request(**wrong)


def test_missing_bundle_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such bundle"):
        verify(tmp_path / "none.tar.gz")


def test_sound_bundle_passes_level_a_and_nothing_else_is_claimed(hollow_bundle):
    levels = verify(hollow_bundle(), levels=("a",))
    assert list(levels) == list(LEVELS)
    assert levels["a"].passed is True
    assert {levels[name].passed for name in "bcd"} == {None}
    assert levels["b"].detail == "not run: not asked for"
    assert "--host" in levels["d"].detail


def test_nothing_of_a_damaged_bundle_is_run(hollow_bundle, tmp_path):
    data = bytearray(gzip.decompress(hollow_bundle().read_bytes()))
    place = data.index(b"TFL3")
    data[place + 100] ^= 1
    path = tmp_path / "tiny-pi-3.11-aarch64.tar.gz"
    path.write_bytes(gzip.compress(bytes(data)))
    levels = verify(path)
    assert levels["a"].passed is False
    for name in "bc":
        assert levels[name].passed is None
        assert "level a did not pass" in levels[name].detail


def test_bundle_that_no_debian_release_fits_is_null(hollow_bundle):
    levels = verify(hollow_bundle(python="3.12"))
    assert levels["a"].passed is True
    for name in "bc":
        assert levels[name].passed is None
        assert "no Debian release has Python 3.12" in levels[name].detail


def test_bundle_for_another_architecture_is_null(hollow_bundle):
    levels = verify(hollow_bundle(arch="x86_64"))
    assert levels["b"].passed is None
    assert "only aarch64" in levels["b"].detail


def test_suite_with_another_python_is_null(hollow_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path))
    levels = verify(hollow_bundle(), levels=("c",), suites=("trixie",))
    assert levels["c"].passed is None
    assert "trixie has Python 3.13" in levels["c"].detail


def test_offline_machine_without_a_cache_is_null_and_says_what_to_do(
    hollow_bundle, tmp_path, monkeypatch
):
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    levels = verify(hollow_bundle(), offline=True)
    for name in "bc":
        assert levels[name].passed is None
        assert "without --offline" in levels[name].detail


def test_several_bundles_pass_only_together():
    good = Outcome(passed=True, checks=(check(True),), detail="", seconds=1.5)
    none = not_run("no root")
    combined = combine(
        {
            "one": dict.fromkeys(LEVELS, good),
            "two": dict.fromkeys(LEVELS, good) | {"c": none},
        }
    )
    assert combined["b"].passed is True
    assert [one.name for one in combined["b"].checks] == ["one: n", "two: n"]
    assert combined["b"].seconds == 3.0
    assert combined["c"].passed is None
    assert "no root" in combined["c"].detail


def test_level_a_needs_no_emulator(hollow_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path / "cache"))
    verify(hollow_bundle(), levels=("a",))
    assert not (tmp_path / "cache").exists()
    assert shutil.which("sh")
