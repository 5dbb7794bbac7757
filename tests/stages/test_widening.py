import json

import pytest
from remembering_voice import Notes

from edgedeploy.choose import Gate
from edgedeploy.recipes import recipe_named
from edgedeploy.stages.context import Context, Options
from edgedeploy.stages.widening import (
    begin_anew,
    forecast_budget,
    times_widened,
    widen,
)
from edgedeploy.workspace import Workspace

MIXED = recipe_named("int4_mixed@0.008")
FACTS = {"int4_mixed@0.008": {"mixed": {"note": None}}, "int8": {}}


def _context(root, **gate):
    options = Options(
        recipes=(recipe_named("float32"), recipe_named("int8"), MIXED),
        gate=Gate(max_top1_drop=0.5, **gate),
    )
    workspace = Workspace(root=root, model="tiny")
    return Context(options=options, workspace=workspace, voice=Notes())


def _evaluation(drop, low, high):
    card = {"top1_drop": drop, "top1_drop_ci95": [low, high]}
    # int8 is not solved by us, however much it loses.
    bad = {"top1_drop": 0.9, "top1_drop_ci95": [0.8, 1.0]}
    return {"variants": {MIXED.name: card, "int8": bad}}


def test_a_drop_beyond_the_budget_halves_the_forecast_at_most_three_times(tmp_path):
    context = _context(tmp_path)
    assert forecast_budget(context, MIXED) == 0.008
    failing = _evaluation(0.02, 0.0081, 0.04)
    for times in (1, 2, 3):
        assert widen(context, FACTS, failing) == [MIXED.name]
        assert times_widened(context, MIXED) == times
        assert forecast_budget(context, MIXED) == pytest.approx(0.008 / 2**times)
    assert widen(context, FACTS, failing) == []
    # Another run with this lock begins where the last one ended.
    assert forecast_budget(_context(tmp_path), MIXED) == 0.001


def test_every_run_warns_that_the_pictures_had_a_part_in_the_choice(tmp_path):
    first = _context(tmp_path)
    widen(first, FACTS, _evaluation(0.02, 0.0081, 0.04))
    widen(first, FACTS, _evaluation(0.0, -0.01, 0.01))
    second = _context(tmp_path)
    widen(second, FACTS, _evaluation(0.0, -0.01, 0.01))
    # The report shows these alone, and is not written again where they are the same.
    assert first.voice.lasting == second.voice.lasting
    (line,) = second.voice.lasting
    assert line.startswith(f"{MIXED.name}: solved again for a forecast of 0.4 points")
    assert "check it on others" in line


def test_where_the_interval_reaches_into_the_budget_nothing_is_solved_again(tmp_path):
    assert widen(_context(tmp_path), FACTS, _evaluation(0.02, 0.008, 0.04)) == []


def test_with_point_estimate_the_measured_drop_decides(tmp_path):
    context = _context(tmp_path, point_estimate=True)
    assert widen(context, FACTS, _evaluation(0.008, -0.01, 0.02)) == []
    assert widen(context, FACTS, _evaluation(0.009, -0.01, 0.02)) == [MIXED.name]


def test_without_labels_or_with_all_layers_wide_nothing_is_solved_again(tmp_path):
    context = _context(tmp_path)
    unlabelled = _evaluation(None, None, None)
    unlabelled["variants"][MIXED.name]["top1_drop_ci95"] = None
    assert widen(context, FACTS, unlabelled) == []
    wide = {**FACTS, MIXED.name: {"mixed": {"note": "every layer is too fragile"}}}
    assert widen(context, wide, _evaluation(0.1, 0.05, 0.2)) == []


def test_a_damaged_count_counts_as_none(tmp_path):
    context = _context(tmp_path)
    for damaged in (-1, "x", 99, None):
        entry = {"budget": 0.008} | ({} if damaged is None else {"times": damaged})
        context.lock.settle("widened", {MIXED.name: entry}, asked=True)
        assert times_widened(context, MIXED) == 0
    for damaged in ("twice", {MIXED.name: 2}):
        context.lock.settle("widened", damaged, asked=True)
        assert times_widened(context, MIXED) == 0


def test_another_budget_or_an_updated_lock_begins_anew(tmp_path):
    context = _context(tmp_path)
    widen(context, FACTS, _evaluation(0.02, 0.0081, 0.04))
    begin_anew(context)
    assert times_widened(context, MIXED) == 1
    # int4_mixed without a number has the gate's budget, which may be another one.
    plain = recipe_named("int4_mixed")
    entry = {plain.name: {"times": 2, "budget": 0.5}}
    context.lock.settle("widened", entry, asked=True)
    assert times_widened(context, plain) == 2
    gate = Gate(max_top1_drop=0.25)
    other = Context(
        options=Options(recipes=(plain,), gate=gate, update_lock=True),
        workspace=context.workspace,
        voice=Notes(),
    )
    assert times_widened(other, plain) == 0
    begin_anew(other)
    assert times_widened(_context(tmp_path), plain) == 0


@pytest.mark.slow
def test_a_build_goes_on_until_the_variant_holds(project, tiny):
    tiny.write_pictures(project.root / "calibration", seed=77)
    words = (
        *("evaluate", "--model", "tiny.toml", "--point-estimate", "--json"),
        *("--images", "pictures", "--calibration", "calibration"),
        *("--recipes", "int4_mixed@0.9"),
    )
    assert project.run(*words).returncode == 0
    # As if the pictures had failed it three times before.
    text = project.lock.read_text(encoding="utf-8")
    name = "int4_mixed@0.9"
    path = project.folder / "variants" / name / "variant.json"
    loose = json.loads(path.read_text(encoding="utf-8"))["mixed"]["chosen"]
    table = text.index("[models.tiny.tools]")
    widened = f'[models.tiny.widened."{name}"]\ntimes = 3\nbudget = 0.9\n\n'
    project.lock.write_text(text[:table] + widened + text[table:], encoding="utf-8")
    again = project.run(*words)
    assert again.returncode == 0, again.stderr
    tight = json.loads(path.read_text(encoding="utf-8"))["mixed"]["chosen"]
    assert tight["predicted_drop"] <= 0.9 / 8
    assert tight["size_bytes"] >= loose["size_bytes"]
