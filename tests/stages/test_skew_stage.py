"""What a device's preprocessing costs, from answers that are known beforehand."""

import contextlib
import json

import numpy as np
import pytest
from PIL import Image

from edgedeploy.errors import InputError
from edgedeploy.images.datasets import Dataset, Picture
from edgedeploy.stages.context import Context, Options
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.skew import measure_skew
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import Workspace, write_json

LABELS = (0, 1, 2, 0)
# The contract's answers, and the device's: float32 loses pictures 1 and 3, int8 none.
CONTRACT = {"float32": [0, 1, 2, 0], "int8": [0, 1, 1, 0]}
DEVICE = {"float32": [0, 2, 2, 1], "int8": [0, 1, 2, 0]}


class Notes:
    """A voice that remembers."""

    def __init__(self):
        self.warnings, self.steps = [], []

    def step(self, what):
        self.steps.append(what)
        return contextlib.nullcontext(lambda _done, _total: None)

    def warn(self, line, *, lasting=True):
        self.warnings.append(line)


@pytest.fixture
def measure(tmp_path):
    """Measure the skew of device paths; give skew.json and which were scored."""
    rows = []
    for number, label in enumerate(LABELS):
        path = tmp_path / f"{number}.jpg"
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 0 else 1
        Image.new("RGB", (4, 4)).save(path, exif=exif)
        rows.append(Picture(name=path.name, path=path, label=label))
    dataset = Dataset(name="own", pictures=tuple(rows))
    digests = tuple("abcd")
    pictures = Pictures(
        evaluation=dataset,
        evaluation_digests=digests,
        calibration=dataset,
        calibration_digests=digests,
    )
    variants = [
        Variant(recipe=name, path=tmp_path / name, sha256=name, facts={})
        for name in CONTRACT
    ]

    def save(name, answers, skipped=()):
        path = tmp_path / f"{name}.npy"
        np.save(path, np.eye(3, dtype=np.float32)[answers])
        facts = tmp_path / f"{name}.json"
        write_json(facts, {"skipped": {str(index): "narrow" for index in skipped}})
        return {"inputs": {"model": name}, "scores": path, "facts": facts}

    def run(*names, model="1", skipped=()):
        scored = []

        def score(variant, name):
            scored.append(f"{name} {variant.recipe}")
            answers = DEVICE[variant.recipe]
            return save(f"{name}-{variant.recipe}", answers, skipped)

        runs = {name: save(name, answers) for name, answers in CONTRACT.items()}
        runs["float32"]["inputs"]["model"] = model
        context = Context(
            options=Options(device_pipelines=names),
            workspace=Workspace(root=tmp_path, model="tiny"),
            voice=Notes(),
        )
        found = measure_skew(context, pictures, variants, runs, score)
        return found, scored, context.voice

    return run


def test_each_variant_is_held_against_itself_under_the_contract(measure):
    found, scored, _ = measure("android")
    assert scored == ["android float32", "android int8"]
    cards = found["paths"]["android"]["variants"]
    before = cards["float32"]
    assert (before["top1"], before["top1_drop"]) == (0.5, 0.5)
    assert before["paired"] == {"losses": 2, "gains": 0, "pairs": 4}
    assert before["flipped_count"] == 2
    assert [flip["image"] for flip in before["flipped"]] == ["1.jpg", "3.jpg"]
    # int8 is held against int8, not against float32: the device mends a picture.
    assert (cards["int8"]["top1"], cards["int8"]["top1_drop"]) == (1.0, -0.25)
    assert cards["int8"]["flipped_count"] == 1
    assert found["pictures"] == {"turned": 1, "other_colours": 0}


def test_the_source_that_is_followed_is_named(measure):
    found, _, _ = measure("mediapipe")
    assert "MediaPipe 1.2.2" in found["paths"]["mediapipe"]["follows"]


def test_pictures_that_the_device_cannot_take_are_left_out_on_both_sides(measure):
    found, _, _ = measure("camera", skipped=(1,))
    one = found["paths"]["camera"]
    assert one["images"] == 3
    assert one["variants"]["float32"]["paired"] == {"losses": 1, "gains": 0, "pairs": 3}


def test_paths_measured_before_stay_while_models_and_pictures_do(measure):
    measure("android")
    found, _, _ = measure("pi")
    assert list(found["paths"]) == ["android", "pi"]
    again, _, voice = measure()
    assert again == found
    assert voice.steps == []
    gone, _, _ = measure("pi", model="2")
    assert list(gone["paths"]) == ["pi"]


def test_nothing_is_measured_unasked(measure, tmp_path):
    assert measure()[0] is None
    assert not (tmp_path / "build" / "tiny" / "skew.json").exists()


def test_a_loss_beyond_doubt_is_a_warning(measure, monkeypatch):
    _, _, voice = measure("android")
    # Two of four may be chance.
    assert voice.warnings == []
    monkeypatch.setitem(DEVICE, "float32", [1, 2, 0, 1])
    _, _, voice = measure("pi", model="2")
    # Tango's statistic is 2 * sqrt((1 - d) / (1 + d)), which is 1.96 at 0.0202.
    assert voice.warnings == [
        "preprocessing as pi costs 100.0 points of float32's top-1 (95 %: 2.0 to 100.0)"
    ]


def test_an_unknown_device_is_refused_before_anything_runs():
    with pytest.raises(InputError, match="device-pipeline must be one of android"):
        Options(device_pipelines=("iphone",))


def test_evaluate_shows_what_the_devices_do(built, call):
    flags = ("--model", "tiny.toml", "--images", "pictures", "--recipes", "int8")
    flags += ("--device-pipeline", "pi,camera", "--json")
    unasked = built.read("evaluation.json")
    assert (unasked["skew"], unasked["stability"]) == (None, None)
    assert "--device-pipeline" in unasked["unmeasured"]["skew"]
    assert "--calibration-stability" in unasked["unmeasured"]["stability"]
    code, out, err = call(built, "evaluate", *flags)
    assert code == 0, err
    skew = json.loads(out)["skew"]
    assert skew["pictures"] == {"turned": 0, "other_colours": 0}
    for recipe in ("float32", "int8"):
        same = skew["paths"]["pi"]["variants"][recipe]
        assert (same["flipped_count"], same["mean_kl"]) == (0, 0.0)
        assert skew["paths"]["camera"]["variants"][recipe]["mean_kl"] > 0
    assert built.read("evaluation.json")["skew"] == skew
    code, out, err = call(built, "evaluate", *flags[:-3])
    assert code == 0, err
    assert "camera" in out
    # What the Pi does is what was trained with, so its column of flips holds 0.
    header = next(line for line in out.splitlines() if "flipped" in line)
    rows = [line for line in out.splitlines() if line.startswith("pi ")]
    assert header.rstrip().endswith("flipped")
    assert rows
    assert all(row.rstrip().endswith(" 0") for row in rows)
