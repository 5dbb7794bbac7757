from edgedeploy.ondevice.shapes import parse_shapes
from edgedeploy.shapes.measure import MAX_MEASURED, measure_sizes, spread_sizes

LIST = "32x32,40x48,64x32"


def test_of_many_sizes_the_smallest_the_largest_and_some_between_are_timed():
    sizes = tuple((side, side) for side in range(8, 8 * 41, 8))
    picked = spread_sizes(sizes)
    assert len(picked) == MAX_MEASURED
    assert (picked[0], picked[-1]) == ((8, 8), (320, 320))
    assert list(picked) == sorted(picked)
    assert spread_sizes(sizes[:3]) == sizes[:3]


def test_sizes_are_ordered_by_their_area():
    assert spread_sizes(((64, 64), (96, 16))) == ((96, 16), (64, 64))


def test_each_size_has_its_time_and_memory(networks):
    path = networks.converted("pooled", "int8", LIST)
    found = measure_sizes(path, parse_shapes(LIST).sizes, seconds_budget=0.3)
    assert set(found["sizes"]) == {"32x32", "40x48", "64x32"}
    for row in found["sizes"].values():
        assert row["runs"] >= 5
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["peak_rss_bytes"] > 1e6
        assert "speedup_vs_float32" not in row
    assert not any(field.startswith("sizes.") for field in found["unmeasured"])


def test_a_size_that_cannot_be_run_costs_its_row_alone(networks):
    path = networks.folder() / "wide.tflite"
    found = measure_sizes(path, ((32, 32), (64, 64)), seconds_budget=0.3)
    # The file begins with 1 x 1, which its kernel of 9 x 9 cannot take.
    assert all("error" in row for row in found["sizes"].values())
    assert set(found["unmeasured"]) >= {"sizes.32x32", "sizes.64x64"}


def test_a_model_of_one_size_is_not_timed_at_others(networks):
    path = networks.converted("pooled", "float32", "")
    found = measure_sizes(path, ((32, 32), (40, 48)), seconds_budget=0.3)
    assert found["sizes"]["32x32"]["runs"] >= 5
    assert "takes shape" in found["sizes"]["40x48"]["error"]
