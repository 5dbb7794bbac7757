import pytest

from edgedeploy.devices.emulated.qemu import Qemu, find_qemu
from edgedeploy.devices.emulated.tracer import prepare_tracer
from edgedeploy.devices.emulated.unavailable import Unavailable


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path / "cache"))


def test_tracer_that_is_not_cached_says_so_offline(tmp_path):
    with pytest.raises(Unavailable, match="no proot in the cache; run once without"):
        prepare_tracer(offline=True)
    # A failed attempt leaves nothing that a later one would take for the program.
    assert not list((tmp_path / "cache").rglob("proot"))


def test_emulator_that_is_not_cached_says_so_offline(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match="no qemu in the cache; run once without"):
        find_qemu(offline=True)


@pytest.mark.network
@pytest.mark.slow
def test_both_are_fetched_once_and_then_had_offline(tmp_path):
    tracer = prepare_tracer()
    assert (tracer.folder / "proot").is_file()
    assert (tracer.folder / "loader").is_file()
    assert prepare_tracer(offline=True) == tracer
    qemu = find_qemu()
    assert isinstance(qemu, Qemu)
    assert find_qemu(offline=True) == qemu
    assert not list((tmp_path / "cache").rglob("*.deb"))
