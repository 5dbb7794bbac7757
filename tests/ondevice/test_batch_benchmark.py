"""The benchmark of batches, and the choice of the best."""

import json

import pytest

from edgedeploy.ondevice.batch_benchmark import choose_batch, measure_batches
from edgedeploy.ondevice.benchmark import main
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.figures import print_batches


def row(ratio, low, difference=0.0):
    return {
        "speedup_vs_loop": {"ratio": ratio, "ci95": [low, ratio + 0.1]},
        "difference": difference,
    }


LOOP = row(1.0, 1.0)


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        # 8 is 1 % faster than 4: not worth its memory.
        ({1: LOOP, 2: row(1.1, 1.05), 4: row(1.3, 1.2), 8: row(1.313, 1.2)}, 4),
        ({1: LOOP, 2: row(1.1, 1.05), 4: row(1.2, 1.1), 8: row(1.4, 1.2)}, 8),
        # Not surely faster: the interval reaches 1.
        ({1: LOOP, 2: row(1.5, 0.99)}, 1),
        ({1: LOOP, 2: row(1.01, 1.005)}, 1),
        ({1: LOOP, 2: row(0.7, 0.6), 4: row(0.8, 0.7)}, 1),
        # Other answers than the single pictures': speed does not count.
        ({1: LOOP, 2: row(2.0, 1.9, difference=0.01), 4: row(1.2, 1.1)}, 4),
        ({1: LOOP, 2: {"error": "it takes one picture"}}, 1),
    ],
)
def test_smallest_batch_that_is_as_good_as_the_fastest_is_chosen(rows, best):
    found, reason = choose_batch(rows, 1e-6)
    assert found == best
    assert reason


def test_every_size_is_timed_in_every_round_beside_the_loop(batch_models):
    done = []
    found = measure_batches(
        batch_models["int8"],
        batches=(1, 2, 4),
        tolerance=0.0,
        min_rounds=5,
        seconds_budget=0,
        progress=lambda n, _total: done.append(n),
    )
    assert done == [1, 2, 3, 4, 5]
    assert list(found["batches"]) == ["1", "2", "4"]
    for facts in found["batches"].values():
        assert facts["runs"] == 5
        assert facts["difference"] == 0.0
        assert 0 < facts["p50_ms"] <= facts["p90_ms"]
        assert facts["peak_rss_bytes"] > 10e6
    assert found["batches"]["1"]["speedup_vs_loop"]["ratio"] == 1.0
    assert found["best_batch"] in (1, 2, 4)


def test_network_that_takes_no_batch_gets_one_and_the_reason(tiny_models):
    found = measure_batches(
        tiny_models["int8"], batches=(1, 2), min_rounds=1, seconds_budget=0
    )
    assert found["best_batch"] == 1
    assert "error" in found["batches"]["2"]
    assert found["batches"]["2"]["error"] == found["unmeasured"]["batches.2"]


def test_model_that_cannot_run_is_an_error(tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"TFL3" * 100)
    with pytest.raises(ContractError, match=r"broken\.tflite"):
        measure_batches(broken, batches=(1, 2), min_rounds=1, seconds_budget=0)


@pytest.mark.parametrize("batches", [(), (2, 4), (1, 4, 2), (1, 1)])
def test_sizes_begin_with_the_loop_and_ascend(batch_models, batches):
    with pytest.raises(ContractError, match="begin with 1"):
        measure_batches(batch_models["int8"], batches=batches)


def test_program_on_the_device_times_batches(tiny_bundle, capsys):
    arguments = ["--folder", str(tiny_bundle), "--batches", "--seconds", "1"]
    assert main([*arguments, "--variant", "int8", "--min-rounds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["int8"]
    assert list(found["batches"]) == ["1", "2", "4", "8", "16"]
    print_batches("int8", found)
    assert "best batch: 1" in capsys.readouterr().out
