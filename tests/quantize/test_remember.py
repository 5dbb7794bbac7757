import numpy as np
import pytest

from edgedeploy.quantize.layers import CONV, Layer
from edgedeploy.quantize.remember import (
    keep_costs,
    keep_solutions,
    remembered_costs,
    remembered_solutions,
)
from edgedeploy.quantize.solve import Solution
from edgedeploy.quantize.write import SolvedLayer

LAYER = Layer(operator=3, kind=CONV, source=0, weights=1, bias=2, rows=2, columns=3)
FACTORS = np.array([1.0, 0.25, 8.0])


def _solutions(bits=4):
    solved = SolvedLayer(
        layer=LAYER,
        bits=bits,
        codes=np.arange(6, dtype=np.int8).reshape(2, 3),
        steps=np.array([0.5, 0.25], np.float32),
        bias=np.array([1.0, -1.0], np.float32),
    )
    return {(3, bits): Solution(solved=solved, error=0.125)}


def test_solutions_come_back_as_they_were(tmp_path):
    path = tmp_path / "solved.npz"
    keep_solutions(path, _solutions(), FACTORS)
    found, factors = remembered_solutions(path, [(LAYER, 4)], 3)
    np.testing.assert_array_equal(factors, FACTORS)
    one, expected = found[3, 4], _solutions()[3, 4]
    assert one.error == expected.error
    assert one.solved.bits == 4
    for kind in ("codes", "steps", "bias"):
        np.testing.assert_array_equal(
            getattr(one.solved, kind), getattr(expected.solved, kind)
        )


@pytest.mark.parametrize("cut", [0, 1, 60, -30])
def test_damaged_solutions_are_solved_again(tmp_path, cut):
    path = tmp_path / "solved.npz"
    keep_solutions(path, _solutions(), FACTORS)
    path.write_bytes(path.read_bytes()[:cut])
    assert remembered_solutions(path, [(LAYER, 4)], 3) is None


def test_solutions_of_other_widths_or_sizes_are_solved_again(tmp_path):
    path = tmp_path / "solved.npz"
    assert remembered_solutions(path, [(LAYER, 4)], 3) is None
    keep_solutions(path, _solutions(), FACTORS)
    assert remembered_solutions(path, [(LAYER, 8)], 3) is None
    assert remembered_solutions(path, [(LAYER, 4)], 4) is None
    larger = Layer(
        operator=3, kind=CONV, source=0, weights=1, bias=2, rows=2, columns=4
    )
    assert remembered_solutions(path, [(larger, 4)], 3) is None


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
def test_impossible_factors_are_worked_out_again(tmp_path, factor):
    path = tmp_path / "solved.npz"
    keep_solutions(path, _solutions(), np.array([1.0, factor, 1.0]))
    assert remembered_solutions(path, [(LAYER, 4)], 3) is None


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1, "2": "x", "3": NaN}'])
def test_damaged_costs_are_measured_again(tmp_path, text):
    path = tmp_path / "costs.json"
    keep_costs(path, {"1": 0.5})
    assert remembered_costs(path) == {"1": 0.5}
    path.write_text(text)
    assert remembered_costs(path) == {}
