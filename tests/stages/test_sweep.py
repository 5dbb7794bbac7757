"""The sweep: what each width of the weights costs, from the command line."""

import json

import pytest

from edgedeploy.errors import InputError
from edgedeploy.images.datasets import Dataset, Picture
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.sweep import _breaks, _check_shown
from edgedeploy.stages.sweep_sizes import PACKAGES, how_it_runs, sizes_of


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
        (scheme, bits)
        for scheme in ("linear", "table", "grouped")
        for bits in range(8, 0, -1)
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
    # In a byte each, 5 bits take what 8 do; half a byte holds 3 as well as 4.
    assert rows["linear", 5]["kernel_bytes"] == rows["linear", 8]["size_bytes"]
    assert rows["linear", 3]["kernel_bytes"] == rows["linear", 4]["size_bytes"]
    assert rows["table", 4]["kernel_bytes"] is None
    assert len(found["pictures"]) == found["images"]
    page = (project.folder / "sweep.html").read_text(encoding="utf-8")
    assert page.count("<img") == 12
    assert "broken.png" not in page
    # Other pictures on the page: nothing is measured again.
    before = (project.folder / "sweep.json").stat().st_mtime_ns
    name = found["pictures"][3]["image"]
    flags = ("--model", "tiny.toml", "--images", "pictures", "--show")
    done = project.run("sweep", *flags, name)
    assert done.returncode == 0, done.stderr
    assert (project.folder / "sweep.json").stat().st_mtime_ns == before
    page = (project.folder / "sweep.html").read_text(encoding="utf-8")
    assert page.count("<img") == 1
    assert name in page
    # A line a width, no line broken in two; nothing is measured again.
    lines = done.stdout.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("weights"))
    table = lines[begin : begin + 26]
    assert [line[:10].strip() for line in table[1:3]] == ["float32", "linear"]
    assert max(len(line) for line in table) <= 80
    assert lines[begin + 26].startswith("side by side: ")
    done = project.run("sweep", *flags, "nobody.png")
    assert done.returncode == 2
    assert "'nobody.png'" in done.stderr
    assert done.stderr.count("error:") == 1


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("e2.png", "only the first 2 pictures are swept"),
        ("c0.png", "set aside for calibration"),
        ("x.png", "none of the 2 pictures that are swept; they are named as 'e0.png'"),
    ],
)
def test_a_picture_that_cannot_be_shown_is_told_why(tmp_path, name, complaint):
    sets = {
        letter: Dataset(
            name="photos",
            pictures=tuple(
                Picture(name=f"{letter}{i}.png", path=tmp_path, label=None)
                for i in range(3)
            ),
        )
        for letter in "ec"
    }
    pictures = Pictures(
        evaluation=sets["e"],
        evaluation_digests=("0", "1", "2"),
        calibration=sets["c"],
        calibration_digests=("3", "4", "5"),
    )
    used = pictures.evaluation.pictures[:2]
    _check_shown(("e1.png",), used, pictures)
    with pytest.raises(InputError, match=complaint):
        _check_shown(("e1.png", name), used, pictures)


def test_the_width_that_breaks_is_the_widest_with_another_answer():
    rows = [{"scheme": "float32", "bits": 32}] + [
        {"scheme": scheme, "bits": bits}
        for scheme in ("linear", "table")
        for bits in (8, 4, 2)
    ]
    answers = [[one, 0.9] for one in (5, 5, 6, 5, 5, 5, 5)]
    assert _breaks(rows, answers) == {"linear": 4, "table": None}


def test_an_output_picture_is_broken_when_it_is_not_alike():
    rows = [{"scheme": "float32", "bits": 32}] + [
        {"scheme": "linear", "bits": bits} for bits in (8, 4, 2)
    ]
    alike = [{"psnr_db": None, "ssim": one} for one in (1.0, 0.99, 0.89, 0.95)]
    assert _breaks(rows, alike) == {"linear": 4}


def test_downloads_are_measured():
    zeros = sizes_of(bytes(100_000))
    assert zeros["size_bytes"] == 100_000
    assert 0 < zeros["deflated_bytes"] < 1000


@pytest.mark.parametrize(("field", "package"), PACKAGES.items())
def test_downloads_are_measured_where_their_packages_are_installed(field, package):
    pytest.importorskip(package, reason=f"{field}: pip install edgedeploy[sweep]")
    assert 0 < sizes_of(bytes(100_000))[field] < 1000


def test_only_widths_with_kernels_are_said_to_have_them():
    assert how_it_runs("linear", 8) == "int8 kernels"
    assert how_it_runs("linear", 4).startswith("int4 kernels")
    assert "restored at load; or a byte each in int8" in how_it_runs("linear", 5)
    assert "restored at load; or half a byte each in int4" in how_it_runs("linear", 3)
    assert "restored" in how_it_runs("table", 8)
