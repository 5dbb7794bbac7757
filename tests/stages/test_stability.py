"""Two halves of the calibration pictures, two models, and how far they lie apart."""

import numpy as np
import pytest

from edgedeploy.images.datasets import Dataset, Picture
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.stability import Halves, compare_halves
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import write_json

FLAGS = ("--model", "tiny.toml", "--images", "pictures", "--recipes", "int8")


def pictures(path, labels):
    rows = tuple(
        Picture(name=f"{n}.png", path=path / f"{n}.png", label=label)
        for n, label in enumerate(labels)
    )
    dataset = Dataset(name="own", pictures=rows)
    digests = tuple("abcdefgh"[: len(rows)])
    return Pictures(
        evaluation=dataset,
        evaluation_digests=digests,
        calibration=dataset,
        calibration_digests=digests,
    )


@pytest.fixture
def compare(tmp_path):
    def run(first, second, labels):
        def score(variant):
            answers = {"first": first, "second": second}[variant.recipe]
            scores, facts = tmp_path / "s.npy", tmp_path / f"{variant.recipe}.json"
            scores = tmp_path / f"{variant.recipe}.npy"
            np.save(scores, 0.9 * np.eye(3, dtype=np.float32)[answers])
            write_json(facts, {"skipped": {}})
            return {"scores": scores, "facts": facts}

        made = tuple(
            Variant(recipe=name, path=tmp_path / name, sha256=name, facts={})
            for name in ("first", "second")
        )
        halves = Halves(recipe="int8", variants=made, images=(17, 16))
        return compare_halves([halves], pictures(tmp_path, labels), score)["int8"]

    return run


def test_difference_by_hand(compare):
    found = compare([0, 1, 2, 0], [0, 1, 1, 1], [0, 1, 2, 1])
    assert found["calibration_images"] == [17, 16]
    # The first is right on 0, 1 and 2; the second on 0, 1 and 3.
    assert found["top1"] == [0.75, 0.75]
    assert found["top1_difference"] == 0.0
    assert found["flipped_count"] == 2
    assert found["agreement_top1"] == 0.5
    assert found["top1_difference_ci95"][0] < 0 < found["top1_difference_ci95"][1]


def test_each_half_has_its_own_accuracy(compare):
    found = compare([0, 1, 2, 0], [0, 0, 0, 1], [0, 1, 2, 0])
    assert found["top1"] == [1.0, 0.25]
    assert found["top1_difference"] == 0.75
    # Wilson by hand for 1 of 4: (0.25 + 0.4802 ± 1.96 * 0.3233) / 1.9604.
    assert found["top1_ci95"][1] == pytest.approx([0.0456, 0.6994], abs=1e-3)


def test_without_labels_the_answers_are_still_compared(compare):
    found = compare([0, 1, 2, 0], [0, 1, 2, 0], [None] * 4)
    assert (found["top1"], found["top1_difference"]) == (None, None)
    assert (found["agreement_top1"], found["mean_kl"]) == (1.0, 0.0)


def test_nothing_is_compared_unasked(tmp_path):
    assert compare_halves([], pictures(tmp_path, [0]), None) is None


def test_too_few_calibration_pictures_are_refused_before_converting(project, refused):
    line = refused(project, "evaluate", *FLAGS, "--calibration-stability")
    assert "two halves of at least 16" in line
    assert "has 16" in line
    assert "Give --calibration a folder of 32 or more" in line
    assert not list(project.folder.glob("variants/*"))


def test_without_a_calibrated_recipe_there_is_nothing_to_compare(project, refused):
    flags = (*FLAGS[:-1], "float32", "--calibration-stability")
    assert "add int8 to --recipes" in refused(project, "evaluate", *flags)
    assert not list(project.folder.glob("variants/*"))


@pytest.mark.slow
def test_both_halves_are_converted_scored_and_kept(project, tiny, call):
    tiny.write_pictures(project.root / "calibration", seed=77)
    flags = (*FLAGS, "--calibration", "calibration")
    code, out, err = call(project, "evaluate", *flags, "--calibration-stability")
    assert code == 0, err
    assert "int8" in out
    stability = project.read("evaluation.json")["stability"]["int8"]
    assert stability["calibration_images"] == [24, 24]
    assert stability["agreement_top1"] > 0.9
    models = sorted((project.folder / ".stability").glob("*.tflite"))
    assert len(models) == 2
    assert models[0].read_bytes() != models[1].read_bytes()
    # Not asked again, it stays; with other pictures it goes.
    code, _, err = call(project, "evaluate", *flags)
    assert code == 0, err
    assert project.read("evaluation.json")["stability"]["int8"] == stability
