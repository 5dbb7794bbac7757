import json
import re
import sys

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator
from PIL import Image

from edgedeploy.errors import QuantizationError
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.isolate import silent
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.quantize.layers import read_float_model
from edgedeploy.quantize.mixed import mix_variant

PIPELINE = ImagePipeline(width=16, height=16).to_dict()
_opened = []
_listening = []


def _listen(event, arguments):
    if event == "open" and _listening:
        _opened.append(str(arguments[0]))


sys.addaudithook(_listen)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, float_network):
    root = tmp_path_factory.mktemp("mixed")
    (root / "float.tflite").write_bytes(float_network(sharpness=1.0))
    random = np.random.default_rng(3)
    for role in ("calibration", "evaluation"):
        (root / role).mkdir()
        for number in range(24):
            coarse = random.integers(0, 256, (4, 4, 3)).astype(np.uint8)
            picture = Image.fromarray(coarse).resize((20, 20), Image.Resampling.BICUBIC)
            picture.save(root / role / f"{number:02}.png")
    return root


def _mix(
    folder,
    memory,
    *,
    max_drop=0.5,
    max_size=0,
    prefer="smallest",
    latencies=None,
    finetune=(),
    progress=silent,
):
    memory.mkdir(exist_ok=True)
    out = memory / "out.tflite"
    found = mix_variant(
        progress=progress,
        model=str(folder / "float.tflite"),
        pipeline=PIPELINE,
        calibration=[str(p) for p in sorted((folder / "calibration").iterdir())],
        max_drop=max_drop,
        max_size=max_size,
        prefer=prefer,
        memory=str(memory),
        out=str(out),
        latencies=latencies,
        finetune=finetune,
    )
    return found, out.read_bytes()


def test_a_loose_budget_gives_narrow_layers(folder, tmp_path):
    found, data = _mix(folder, tmp_path / "loose")
    assert found["note"] is None
    assert found["chosen"]["narrow_layers"] >= 2
    assert found["chosen"]["predicted_drop"] <= 0.5
    assert "int4" in dict(summarize(data).weight_bytes)
    assert found["chosen"]["size_bytes"] == len(data)


def test_where_every_layer_is_fragile_all_get_8_bits_and_it_is_said(folder, tmp_path):
    found, data = _mix(folder, tmp_path / "fragile", max_drop=1e-9)
    assert set(found["bits"].values()) == {8}
    assert "too fragile for 4 bits" in found["note"]
    assert "int4" not in dict(summarize(data).weight_bytes)


def test_a_budget_of_nothing_is_8_bits_without_a_search(folder, tmp_path):
    found, data = _mix(folder, tmp_path / "nothing", max_drop=0.0)
    assert set(found["bits"].values()) == {8}
    assert "too fragile for 4 bits within a predicted drop of 0" in found["note"]
    assert not list((tmp_path / "nothing").glob("costs-*.json"))
    _, wide = _mix(folder, tmp_path / "fragile", max_drop=1e-9)
    assert len(data) == len(wide)


def test_the_search_opens_no_evaluation_picture(folder, tmp_path):
    _opened.clear()
    _listening.append(True)
    try:
        _mix(folder, tmp_path / "watched")
    finally:
        _listening.clear()
    pictures = {path for path in _opened if path.endswith(".png")}
    expected = {str(path) for path in (folder / "calibration").iterdir()}
    assert pictures == expected


def test_an_interrupted_search_goes_on_with_the_costs_it_has(folder, tmp_path):
    memory = tmp_path / "resumed"
    _, first = _mix(folder, memory)
    (costs,) = memory.glob("costs-*.json")
    known = json.loads(costs.read_text())
    # One layer was not measured yet when it stopped.
    operator, cost = known.popitem()
    costs.write_text(json.dumps(known))
    _, second = _mix(folder, memory)
    assert second == first
    assert json.loads(costs.read_text())[operator] == cost


@pytest.mark.parametrize("damage", ["{", '{"x": 1, "0": "y"}', '{"0": NaN}'])
def test_damaged_costs_are_measured_again(folder, tmp_path, damage):
    memory = tmp_path / "damaged"
    _, first = _mix(folder, memory)
    (costs,) = memory.glob("costs-*.json")
    costs.write_text(damage)
    assert _mix(folder, memory)[1] == first


def test_a_network_without_a_softmax_is_refused(folder, tmp_path):
    model = read_float_model((folder / "float.tflite").read_bytes())
    graph = model.subgraphs[0]
    graph.outputs = graph.operators[-1].inputs
    graph.operators = graph.operators[:-1]
    other = tmp_path / "other"
    other.mkdir()
    (other / "float.tflite").write_bytes(pack_model(model))
    (other / "calibration").symlink_to(folder / "calibration")
    with pytest.raises(QuantizationError, match="probabilities that sum to 1"):
        _mix(other, tmp_path / "logits")


def test_a_file_that_cannot_be_small_enough_is_an_error(folder, tmp_path):
    with pytest.raises(QuantizationError, match=r"over the 100 allowed.*--max-size"):
        _mix(folder, tmp_path / "size", max_size=100)


def test_a_file_over_the_size_names_the_drop_that_the_size_costs(folder, tmp_path):
    _, wide = _mix(folder, tmp_path / "same", max_drop=1e-9)
    size = len(wide) - 100
    with pytest.raises(QuantizationError) as refused:
        _mix(folder, tmp_path / "same", max_drop=1e-9, max_size=size)
    allowed = float(re.search(r"--max-top1-drop ([\d.]+)", str(refused.value))[1])
    assert 0 < allowed < 0.5
    _, data = _mix(folder, tmp_path / "same", max_drop=allowed, max_size=size)
    assert len(data) <= size


def test_progress_ends_full_and_shows_the_frontier(folder, tmp_path):
    told = []
    _mix(folder, tmp_path / "told", progress=lambda *step: told.append(step))
    done, total, frontier = told[-1]
    assert done <= total
    assert [step[0] for step in told] == sorted(step[0] for step in told)
    assert told[0][2] == ""
    assert frontier.startswith("forecast, at most -50.00 points: 0.0")


@pytest.mark.parametrize(("ratio", "bits"), [(1.06, 8), (1.05, 4), (0.4, 4)])
def test_for_speed_what_was_slower_than_8_bits_stays_at_8(
    folder, tmp_path, ratio, bits
):
    latencies = {"0-8": 1.0, "0-4": ratio}
    found, data = _mix(
        folder, tmp_path / "fastest", prefer="fastest", latencies=latencies
    )
    assert found["bits"]["0"] == bits
    assert found["latencies"] == latencies
    # Nor are there steps for blocks, which XNNPACK alone gets right.
    assert set(found["bits"].values()) <= {4, 8}
    assert "int4" in dict(summarize(data).weight_bytes)


def test_where_4_bits_are_slower_in_every_layer_it_is_said(folder, tmp_path):
    slow = {f"{operator}-4": 2.0 for operator in range(9)}
    found, _ = _mix(folder, tmp_path / "slow", prefer="fastest", latencies=slow)
    assert set(found["bits"].values()) == {8}
    assert found["note"].startswith("no layer is as fast with 4 bits")


def test_for_speed_every_layer_is_timed_with_4_and_8_bits(folder, tmp_path):
    found, _ = _mix(folder, tmp_path / "timed", prefer="fastest")
    narrow = [operator for operator in found["bits"] if operator != "1"]
    expected = {f"{operator}-{width}" for operator in narrow for width in (4, 8)}
    assert set(found["latencies"]) == expected
    assert all(found["latencies"][f"{operator}-8"] == 1 for operator in narrow)
    assert all(ratio > 0 for ratio in found["latencies"].values())


def test_what_was_kept_for_another_aim_changes_no_byte(folder, tmp_path):
    _, alone = _mix(folder, tmp_path / "alone", prefer="smallest-download")
    _mix(folder, tmp_path / "shared", prefer="smallest")
    kept = set((tmp_path / "shared").glob("costs-*.json"))
    _, after = _mix(folder, tmp_path / "shared", prefer="smallest-download")
    assert after == alone
    # The network of one aim is scaled, so its layers cost otherwise.
    assert set((tmp_path / "shared").glob("costs-*.json")) > kept


def test_for_the_download_widths_between_4_and_8_are_tried(folder, tmp_path):
    found, data = _mix(folder, tmp_path / "zip", prefer="smallest-download")
    assert set(found["bits"].values()) <= {4, 4.5, 5, 6, 7, 8}
    wide, _ = _mix(folder, tmp_path / "wide", max_drop=1e-9)
    assert found["chosen"]["deflated_bytes"] < wide["chosen"]["deflated_bytes"]
    assert found["chosen"]["size_bytes"] == len(data)


def test_damaged_solutions_are_solved_again_to_the_same_bytes(folder, tmp_path):
    memory = tmp_path / "solutions"
    _, first = _mix(folder, memory)
    (solved,) = memory.glob("solved-*.npz")
    solved.write_bytes(solved.read_bytes()[:100])
    assert _mix(folder, memory)[1] == first


def test_what_cannot_be_fine_tuned_is_refused_before_anything_is_solved(
    folder, tmp_path
):
    model = read_float_model((folder / "float.tflite").read_bytes())
    for code in model.operatorCodes:
        if code.builtinCode == BuiltinOperator.MEAN:
            code.builtinCode = code.deprecatedBuiltinCode = BuiltinOperator.SUM
    other = tmp_path / "other"
    other.mkdir()
    (other / "float.tflite").write_bytes(pack_model(model))
    (other / "calibration").symlink_to(folder / "calibration")
    learning = [str(path) for path in (folder / "evaluation").iterdir()]
    with pytest.raises(QuantizationError, match="cannot differentiate SUM; it knows"):
        _mix(other, tmp_path / "memory", finetune=learning)
    assert not list((tmp_path / "memory").iterdir())
