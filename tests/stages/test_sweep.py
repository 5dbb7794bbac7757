import json

import pytest

from edgedeploy.stages.sweep import _breaks
from edgedeploy.stages.sweeping import how_it_runs


@pytest.mark.slow
def test_a_sweep_tells_every_width_and_writes_a_page(project):
    (project.root / "pictures" / "red" / "broken.png").write_bytes(b"no picture")
    done = project.run(
        "sweep", "--model", "tiny.toml", "--images", "pictures", "--json"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    widths = [(row["scheme"], row["bits"]) for row in found["rows"]]
    assert widths[0] == ("float32", 32)
    assert widths[1:] == [
        (scheme, bits) for scheme in ("linear", "table") for bits in range(8, 0, -1)
    ]
    rows = dict(zip(widths, found["rows"], strict=True))
    assert rows["float32", 32]["agreement_top1"] == 1.0
    assert rows["linear", 8]["agreement_top1"] == 1.0
    # Every share carries its interval: of n of n, n / (n + 1.96²) is the lower end.
    low, high = rows["linear", 8]["agreement_top1_ci95"]
    assert low == pytest.approx(found["images"] / (found["images"] + 3.8415), abs=1e-4)
    assert high == 1.0
    low, high = rows["linear", 8]["top1_drop_ci95"]
    assert low < rows["linear", 8]["top1_drop"] < high
    assert rows["linear", 8]["size_bytes"] > rows["linear", 4]["size_bytes"]
    assert rows["linear", 1]["mean_kl"] > rows["linear", 8]["mean_kl"]
    page = (project.folder / "sweep.html").read_text(encoding="utf-8")
    assert page.count("<img") == len(found["pictures"]) == 12
    assert "broken.png" not in page


def test_the_width_that_breaks_is_the_widest_with_another_answer():
    rows = [{"scheme": "float32", "bits": 32}] + [
        {"scheme": scheme, "bits": bits}
        for scheme in ("linear", "table")
        for bits in (8, 4, 2)
    ]
    assert _breaks(rows, [5, 5, 6, 5, 5, 5, 5]) == {"linear": 4, "table": None}


def test_only_widths_with_kernels_are_said_to_have_them():
    assert how_it_runs("linear", 8) == "int8 kernels"
    assert how_it_runs("linear", 4) == "int4 kernels"
    assert "restored" in how_it_runs("linear", 5)
    assert "restored" in how_it_runs("table", 8)
