"""What is frozen of a choice, and how latencies are read and put into words."""

import json

import pytest
from remembering_voice import Notes

from edgedeploy.errors import GateError, LockError
from edgedeploy.images.datasets import Dataset, Picture
from edgedeploy.stages.context import Context, Options
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.selection import (
    latencies_ms,
    plain_words,
    select_variant,
    thread_counts,
)
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import Workspace


def context(root, **options):
    workspace = Workspace(root=root, model="tiny")
    return Context(options=Options(**options), workspace=workspace, voice=Notes())


def labelled(path):
    picture = Picture(name="a.png", path=path / "a.png", label=0)
    dataset = Dataset(name="own", pictures=(picture,))
    return Pictures(
        evaluation=dataset,
        evaluation_digests=("0",),
        calibration=dataset,
        calibration_digests=("0",),
    )


def variant(path, name, size):
    facts = {"size_bytes": size}
    return Variant(recipe=name, path=path / name, sha256=name, facts=facts)


def card(**changes):
    good = {
        "top1_drop": 0.0,
        "top1_drop_ci95": [-0.001, 0.001],
        "paired": {"losses": 0, "gains": 0, "pairs": 4000},
        "agreement_top1": 1.0,
        "agreement_top1_ci95": [0.99, 1.0],
        "mean_kl": 0.0,
        "collapse": 0.0,
    }
    return {**good, **changes}


def benchmark(**times):
    """benchmark.json of medians by thread count."""
    return {
        "devices": {
            "host": {
                "variants": {
                    name: {"threads": {str(n): {"p50_ms": ms} for n, ms in by.items()}}
                    for name, by in times.items()
                }
            }
        }
    }


NAMES = ("float32", "dynamic_int8", "int8")
DYNAMIC_FASTER = benchmark(float32={1: 9}, dynamic_int8={1: 4}, int8={1: 5})
INT8_FASTER = benchmark(float32={1: 9}, dynamic_int8={1: 6}, int8={1: 5})


def select(root, measured, cards=None, names=NAMES, **options):
    cards = {name: card() for name in names} | (cards or {})
    return select_variant(
        context(root, prefer="fastest", **options),
        labelled(root),
        [variant(root, name, 10 + at) for at, name in enumerate(names)],
        {"reference": "float32", "variants": cards},
        measured,
    )


def test_selection_is_written_as_it_is_returned(tmp_path):
    selection = select(tmp_path, DYNAMIC_FASTER)
    path = tmp_path / "build" / "tiny" / "selection.json"
    assert json.loads(path.read_text()) == selection
    assert selection["choice"] == "dynamic_int8"


def test_selection_is_not_written_again_when_nothing_changed(tmp_path):
    select(tmp_path, DYNAMIC_FASTER)
    path = tmp_path / "build" / "tiny" / "selection.json"
    before = path.stat().st_ino
    select(tmp_path, DYNAMIC_FASTER)
    assert path.stat().st_ino == before


def test_fastest_is_frozen_when_another_run_measures_otherwise(tmp_path):
    select(tmp_path, DYNAMIC_FASTER)
    again = select(tmp_path, INT8_FASTER)
    assert again["choice"] == "dynamic_int8"
    assert again["reason"] == "pinned as the fastest by edgedeploy.lock"
    assert again["reasons"] == {
        "int8": "edgedeploy.lock pins dynamic_int8 as the fastest"
    }


def test_update_lock_chooses_anew_and_freezes_that(tmp_path):
    select(tmp_path, DYNAMIC_FASTER)
    assert select(tmp_path, INT8_FASTER, update_lock=True)["choice"] == "int8"
    assert select(tmp_path, DYNAMIC_FASTER)["choice"] == "int8"


def test_a_frozen_choice_that_got_worse_is_an_error(tmp_path):
    select(tmp_path, DYNAMIC_FASTER)
    worse = {"dynamic_int8": card(mean_kl=0.5)}
    with pytest.raises(LockError, match="not good enough any more"):
        select(tmp_path, DYNAMIC_FASTER, cards=worse)


def test_a_frozen_choice_that_was_not_built_is_an_error_of_its_own(tmp_path):
    select(tmp_path, DYNAMIC_FASTER)
    with pytest.raises(LockError, match=r"not built; add it to --recipes"):
        select(tmp_path, INT8_FASTER, names=("float32", "int8"))


def test_smallest_freezes_nothing(tmp_path):
    made = context(tmp_path, prefer="smallest")
    variants = [variant(tmp_path, name, 10 + at) for at, name in enumerate(NAMES)]
    cards = {"reference": "float32", "variants": {name: card() for name in NAMES}}
    selection = select_variant(made, labelled(tmp_path), variants, cards, None)
    assert selection["choice"] == "dynamic_int8"
    assert made.lock.get("fastest") is None


def test_shipped_samples_are_smoke(tmp_path):
    pictures = labelled(tmp_path)
    assert not pictures.smoke
    samples = Dataset(name="s", pictures=pictures.evaluation.pictures, samples=True)
    unlabelled = Dataset(
        name="u", pictures=(Picture(name="a", path=tmp_path, label=None),)
    )
    for dataset in (samples, unlabelled):
        assert Pictures(
            evaluation=dataset,
            evaluation_digests=("0",),
            calibration=dataset,
            calibration_digests=("0",),
        ).smoke


def test_none_good_enough_writes_no_selection(tmp_path):
    bad = {name: card(collapse=1.0) for name in NAMES}
    with pytest.raises(GateError):
        select(tmp_path, DYNAMIC_FASTER, cards=bad)
    assert not (tmp_path / "build" / "tiny" / "selection.json").exists()


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2]), (4, [1, 2, 4]), (12, [1, 2, 4, 8])],
)
def test_thread_counts_double_up_to_the_cores(cores, counts):
    assert thread_counts(cores) == counts


def test_latency_is_the_best_median_that_was_measured():
    measured = benchmark(a={1: 9.0, 2: 5.0, 4: 6.0}, b={1: None, 2: 7.0}, c={1: None})
    measured["devices"]["host"]["variants"]["d"] = {"threads": None}
    assert latencies_ms(measured) == {"a": 5.0, "b": 7.0, "c": None, "d": None}
    assert latencies_ms(None) == {}


def test_plain_words_name_what_is_not_faster():
    measured = benchmark(
        float32={1: 8.9}, dynamic_int8={1: 10.3}, int8={1: 4.6}, float16={1: None}
    )
    assert plain_words(measured) == [
        "dynamic_int8 is not faster than float32 on this machine (10.3 ms against "
        "8.9 ms); it only saves space here"
    ]
    assert plain_words(benchmark(float32={1: None}, int8={1: 4.6})) == []


def test_plain_words_say_where_4_bits_take_longer_than_8():
    figures = {
        "float32": {1: 8.9},
        "dynamic_int8": {1: 5.9},
        "int8": {1: 4.6},
        "int4_mixed@0.003": {1: 5.2},
    }
    assert plain_words(benchmark(**figures)) == [
        "int4_mixed@0.003 is slower than int8 on this machine (5.2 ms against 4.6 ms): "
        "its 4-bit kernels save space, not time"
    ]
    # Speed-ups whose intervals overlap are no difference.
    timed = benchmark(**figures)
    timings = timed["devices"]["host"]["variants"]
    int8, mixed = (
        timings[name]["threads"]["1"] for name in ("int8", "int4_mixed@0.003")
    )
    int8["speedup_vs_float32"] = {"ratio": 1.93, "ci95": [1.8, 2.1]}
    mixed["speedup_vs_float32"] = {"ratio": 1.71, "ci95": [1.6, 1.81]}
    assert plain_words(timed) == []
    mixed["speedup_vs_float32"] = {"ratio": 1.71, "ci95": [1.6, 1.79]}
    assert len(plain_words(timed)) == 1
    figures["int4_mixed@0.003"] = {1: 9.0}
    assert "not faster than float32" in plain_words(benchmark(**figures))[0]
    figures["int4_mixed@0.003"] = {1: 4.6}
    assert plain_words(benchmark(**figures)) == []
