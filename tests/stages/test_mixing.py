import json
import shutil

import pytest
import tomlkit

BUDGETS = ("int4_mixed@0.01", "int4_mixed@0.00001")


def _convert(project, *flags):
    return project.run(
        "convert",
        *("--model", "tiny.toml"),
        *("--images", "pictures", "--calibration", "calibration"),
        *("--recipes", ",".join(BUDGETS), "--json"),
        *flags,
    )


def test_budgets_stand_side_by_side_and_evaluation_pictures_change_nothing(
    project, tiny
):
    tiny.write_pictures(project.root / "calibration", seed=77)
    done = _convert(project)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert list(facts) == ["float32", *BUDGETS]
    for name, budget in zip(BUDGETS, (0.01, 0.00001), strict=True):
        mixed = facts[name]["mixed"]
        assert (project.folder / "variants" / name / "model.tflite").is_file()
        fits = mixed["chosen"]["predicted_drop"] <= budget
        assert fits or "too fragile" in mixed["note"]
        assert name in project.lock.read_text(encoding="utf-8")
    models = [project.folder / "variants" / name / "model.tflite" for name in BUDGETS]
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in models]
    # Other pictures to evaluate: nothing is solved again.
    shutil.rmtree(project.root / "pictures")
    tiny.write_pictures(project.root / "pictures", seed=78)
    again = _convert(project)
    assert again.returncode == 0, again.stderr
    assert before == [(path.stat().st_mtime_ns, path.read_bytes()) for path in models]


@pytest.mark.slow
def test_latencies_are_locked_and_the_locked_ones_choose(project, tiny):
    tiny.write_pictures(project.root / "calibration", seed=77)
    words = (
        *("convert", "--model", "tiny.toml", "--prefer", "fastest", "--json"),
        *("--images", "pictures", "--calibration", "calibration"),
        *("--recipes", "int4_mixed@0.5"),
    )
    done = project.run(*words)
    assert done.returncode == 0, done.stderr
    locked = tomlkit.parse(project.lock.read_text(encoding="utf-8"))
    (facts,) = locked["models"].values()
    ratios = facts["layer_latency"]["ratios"]
    # Another machine with this lock, and other times than it would measure itself.
    for key in ratios:
        ratios[key] = 1.0 if key.endswith("-8") else 9.9
    slow = ratios.unwrap()
    assert slow
    del facts["int4_mixed@0.5"]
    project.lock.write_text(tomlkit.dumps(locked), encoding="utf-8")
    shutil.rmtree(project.folder)
    again = project.run(*words)
    assert again.returncode == 0, again.stderr
    chosen = json.loads(again.stdout)["int4_mixed@0.5"]["mixed"]
    assert set(chosen["bits"].values()) == {8}
    assert chosen["latencies"] == slow


def test_a_budget_that_is_no_fraction_is_bad_input(project):
    done = project.run("convert", "--model", "tiny.toml", "--recipes", "int4_mixed@2")
    assert done.returncode == 2
    assert "a budget after @ is a fraction" in done.stderr


@pytest.mark.slow
def test_finetune_is_measured_told_and_made_again_to_the_same_bytes(project, tiny):
    tiny.write_pictures(project.root / "calibration", seed=77)
    tiny.write_pictures(project.root / "learn", seed=79)
    (project.root / "learn" / "broken.jpg").write_bytes(b"\xff\xd8no picture")
    words = (
        *("convert", "--model", "tiny.toml", "--finetune", "learn"),
        *("--images", "pictures", "--calibration", "calibration"),
        *("--recipes", "int4_mixed@0.01"),
    )
    done = project.run(*words)
    assert done.returncode == 0, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "int4_mixed@0.01: fine-tuning on" in said
    # Sizes stand below each other, and no path breaks its line.
    sizes = [line for line in done.stdout.splitlines() if " MB " in line]
    assert [line.split()[-1] for line in sizes] == [
        f"build/tiny/variants/{name}/model.tflite"
        for name in ("float32", "int4_mixed@0.01")
    ]
    assert len({line.index(" MB ") for line in sizes}) == 1
    assert "cannot be decoded were left out: 1" in said
    folder = project.folder / "variants" / "int4_mixed@0.01"
    tuned = json.loads((folder / "variant.json").read_text())["mixed"]["finetuned"]
    before, after = tuned["mean_kl"]
    assert tuned["kept"] == (after < before)
    assert tuned["unreadable"] == 1
    first = (folder / "model.tflite").read_bytes()
    # The lock would refuse other bytes.
    (folder / "model.tflite").unlink()
    again = project.run(*words)
    assert again.returncode == 0, again.stderr
    assert (folder / "model.tflite").read_bytes() == first


def test_pictures_of_evaluation_are_not_learnt_from(project, tiny, refused):
    tiny.write_pictures(project.root / "calibration", seed=77)
    line = refused(
        project,
        *("convert", "--model", "tiny.toml", "--recipes", "int4_mixed"),
        *("--images", "pictures", "--calibration", "calibration"),
        *("--finetune", "pictures"),
    )
    assert "are evaluation pictures too" in line


def test_finetune_without_int4_mixed_is_refused(project, refused):
    line = refused(
        project,
        *("convert", "--model", "tiny.toml", "--recipes", "int8"),
        *("--finetune", "pictures"),
    )
    assert "goes with the recipe int4_mixed" in line
