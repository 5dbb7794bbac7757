"""How other devices' figures get into benchmark.json, stay there, and go."""

import json

import pytest

from edgedeploy.errors import InputError, WorkspaceError
from edgedeploy.stages.devices import (
    compose_benchmark,
    host_path,
    record_device,
    write_device,
)
from edgedeploy.workspace import Workspace

MODELS = {"float32": "a" * 64, "int8": "b" * 64}
FIGURES = {"size_bytes": 10, "threads": {"1": {"p50_ms": 2.0}}}


def device(identity="0123456789ab", **variants):
    host = {"cpu": "Cortex-A76", "throttled": None, "identity": identity}
    return {"host": host, "variants": variants or dict.fromkeys(MODELS, FIGURES)}


@pytest.fixture
def workspace(tmp_path):
    """A build folder with two variants and this machine's figures."""
    one = Workspace(root=tmp_path, model="tiny")
    for recipe, sha256 in MODELS.items():
        path = one.variant_facts(recipe)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"sha256": sha256, "deflated_bytes": 7}))
    write_device(host_path(one), models=MODELS, device=device(), unmeasured={})
    return one


@pytest.fixture
def notes():
    return []


@pytest.fixture
def record(workspace, notes):
    def run(name="kitchen", models=MODELS, unmeasured=None, **changes):
        return record_device(
            workspace,
            name,
            models=models,
            device=device(**changes),
            unmeasured=unmeasured or {},
            note=notes.append,
        )

    return run


def read(workspace):
    return json.loads((workspace.folder / "benchmark.json").read_text())


def test_device_stands_beside_this_machine_with_its_reasons(workspace, record):
    assert record(unmeasured={"variants.int8.peak_rss_bytes": "no /proc"}) == "kitchen"
    benchmark = read(workspace)
    assert list(benchmark["devices"]) == ["host", "kitchen"]
    assert benchmark["model"] == "tiny"
    entry = benchmark["devices"]["kitchen"]["variants"]["int8"]
    assert entry == {**FIGURES, "deflated_bytes": 7}
    assert benchmark["unmeasured"] == {
        "host.throttled": "this system does not tell",
        "devices.kitchen.host.throttled": "this system does not tell",
        "devices.kitchen.variants.int8.peak_rss_bytes": "no /proc",
    }


def test_measuring_again_replaces_the_entry(workspace, record):
    record()
    record(int8={**FIGURES, "size_bytes": 11})
    variants = read(workspace)["devices"]["kitchen"]["variants"]
    assert list(variants) == ["int8"]
    assert variants["int8"]["size_bytes"] == 11


def test_two_boards_of_one_name_are_told_apart(workspace, record):
    assert record("pi-5-raspberrypi", identity="aaaaaaaaaaaa") == "pi-5-raspberrypi"
    other = record("pi-5-raspberrypi", identity="bbbbbbbbbbbb")
    assert other == "pi-5-raspberrypi-bbbbbb"
    assert record("pi-5-raspberrypi", identity="bbbbbbbbbbbb") == other
    assert set(read(workspace)["devices"]) == {"host", "pi-5-raspberrypi", other}


def test_entry_survives_a_rebuild_with_the_same_models(workspace, record, notes):
    record()
    before = read(workspace)["devices"]["kitchen"]
    # The stage has measured this machine anew.
    write_device(
        host_path(workspace),
        models=MODELS,
        device=device(float32={**FIGURES, "size_bytes": 12}),
        unmeasured={},
    )
    benchmark = compose_benchmark(workspace, MODELS, notes.append)
    assert benchmark["devices"]["kitchen"] == before
    assert benchmark["devices"]["host"]["variants"]["float32"]["size_bytes"] == 12
    assert notes == []


def test_entry_goes_with_a_note_when_a_model_changed(workspace, record, notes):
    record()
    changed = {**MODELS, "int8": "c" * 64}
    write_device(host_path(workspace), models=changed, device=device(), unmeasured={})
    benchmark = compose_benchmark(workspace, changed, notes.append)
    assert list(benchmark["devices"]) == ["host"]
    (line,) = notes
    assert "dropped the figures of kitchen: int8 changed" in line
    assert not any(key.startswith("devices.kitchen") for key in benchmark["unmeasured"])
    # For good: going back does not bring figures back that were announced as gone.
    assert list(compose_benchmark(workspace, MODELS, notes.append)["devices"]) == []


def test_build_of_fewer_recipes_shows_what_it_has_and_keeps_the_rest(
    workspace, record, notes
):
    record()
    fewer = {"float32": MODELS["float32"]}
    shown = compose_benchmark(workspace, fewer, notes.append)["devices"]["kitchen"]
    assert list(shown["variants"]) == ["float32"]
    shown = compose_benchmark(workspace, MODELS, notes.append)["devices"]["kitchen"]
    assert list(shown["variants"]) == ["float32", "int8"]
    assert notes == []


def test_device_with_other_models_than_the_build_is_refused(workspace, record):
    with pytest.raises(InputError, match=r"another int8 than .*pi\.install"):
        record(models={**MODELS, "int8": "c" * 64})
    assert not (workspace.folder / "benchmark.json").exists()


@pytest.mark.parametrize("name", ["host", "", "../x", "a/b", ".x", "x" * 200])
def test_id_that_is_no_file_name_is_refused(record, name):
    with pytest.raises(InputError, match="alias"):
        record(name)


def test_bundle_without_a_build_has_its_figures_and_a_reason(tmp_path, notes):
    bare = Workspace(root=tmp_path, model="tiny")
    record_device(
        bare, "pi", models=MODELS, device=device(), unmeasured={}, note=notes.append
    )
    benchmark = read(bare)
    assert list(benchmark["devices"]) == ["pi"]
    assert benchmark["devices"]["pi"]["variants"]["int8"]["deflated_bytes"] is None
    assert "devices.pi.variants.int8.deflated_bytes" in benchmark["unmeasured"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"device": {}}', "\0"])
def test_damaged_file_of_a_device_is_named(workspace, notes, text):
    path = workspace.folder / "devices" / "kitchen.json"
    path.write_text(text)
    with pytest.raises(WorkspaceError, match=r"kitchen\.json"):
        compose_benchmark(workspace, MODELS, notes.append)


def test_damaged_benchmark_is_put_together_again(workspace, record):
    record()
    sound = read(workspace)
    (workspace.folder / "benchmark.json").write_text("{")
    assert compose_benchmark(workspace, MODELS, print) == sound == read(workspace)
