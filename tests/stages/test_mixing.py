import json
import shutil

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


def test_a_budget_that_is_no_fraction_is_bad_input(project):
    done = project.run("convert", "--model", "tiny.toml", "--recipes", "int4_mixed@2")
    assert done.returncode == 2
    assert "a budget after @ is a fraction" in done.stderr
