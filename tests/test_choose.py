"""The choice: every rule, every message."""

import math

import pytest

from edgedeploy.choose import Gate, choose, judge
from edgedeploy.errors import GateError, InputError

GOOD = {
    "top1_drop": 0.002,
    "top1_drop_ci95": [-0.004, 0.007],
    "paired": {"losses": 6, "gains": 4, "pairs": 1000},
    "agreement_top1": 0.98,
    "agreement_top1_ci95": [0.97, 0.99],
    "mean_kl": 0.003,
    "collapse": 0.01,
}
SIZES = {"float32": 90, "float16": 45, "dynamic_int8": 23, "int8": 24}


def evaluation(**cards):
    cards = {"float32": GOOD, **cards}
    return {"variants": {name: {**GOOD, **card} for name, card in cards.items()}}


def select(cards, **changes):
    options = {
        "latencies_ms": {},
        "prefer": "smallest",
        "gate": Gate(),
        "smoke": False,
    }
    sizes = {name: size * 1_000_000 for name, size in SIZES.items()}
    return choose(evaluation(**cards), sizes, **(options | changes))


ALL = {"float16": {}, "dynamic_int8": {}, "int8": {}}


def test_smallest_is_chosen_and_the_others_lose_by_size():
    selection = select(ALL)
    assert selection["choice"] == "dynamic_int8"
    assert selection["reason"] == "the smallest of 3 variants that are good enough"
    assert selection["reasons"] == {
        "float16": "good enough, but 45.00 MB against 23.00 MB of dynamic_int8",
        "int8": "good enough, but 24.00 MB against 23.00 MB of dynamic_int8",
    }
    assert selection["passed"] == ["dynamic_int8", "float16", "int8"]


def test_fastest_is_chosen_and_the_others_lose_by_latency():
    times = {"float32": 1.0, "float16": 9.0, "dynamic_int8": 17.0, "int8": 4.5}
    selection = select(ALL, prefer="fastest", latencies_ms=times)
    assert selection["choice"] == "int8"
    assert selection["reasons"] == {
        "float16": "good enough, but 9.00 ms against 4.50 ms of int8",
        "dynamic_int8": "good enough, but 17.00 ms against 4.50 ms of int8",
    }


def test_float32_is_never_the_choice_even_where_it_is_fastest():
    times = {"float32": 1.0, "int8": 4.5}
    assert select({"int8": {}}, prefer="fastest", latencies_ms=times)["choice"] == (
        "int8"
    )


def test_a_variant_without_latency_is_not_the_fastest():
    times = {"float16": 9.0, "int8": None}
    selection = select(
        {"float16": {}, "int8": {}}, prefer="fastest", latencies_ms=times
    )
    assert selection["choice"] == "float16"
    assert selection["reasons"]["int8"] == "its latency was not measured"


def test_nothing_is_called_fastest_where_nothing_was_timed():
    with pytest.raises(GateError, match="use --prefer smallest"):
        select(ALL, prefer="fastest", latencies_ms={"int8": None})


def test_equal_variants_are_told_apart_by_size_and_then_by_name():
    times = dict.fromkeys(ALL, 5.0)
    assert select(ALL, prefer="fastest", latencies_ms=times)["choice"] == "dynamic_int8"
    tied = choose(
        evaluation(b={}, a={}), {"a": 1, "b": 1},
        latencies_ms={}, prefer="smallest", gate=Gate(), smoke=False,
    )  # fmt: skip
    assert tied["choice"] == "a"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"top1_drop": 0.02, "top1_drop_ci95": [0.0081, 0.03]},
            "top-1 drops 2.00 points, over 0.80",
        ),
        (
            {"agreement_top1": 0.9, "agreement_top1_ci95": [0.85, 0.949]},
            "agrees with float32 on 90.0 %, under 95.0 %",
        ),
        ({"mean_kl": 0.0201}, "KL 0.0201, over 0.0200"),
        (
            {"collapse": 0.62},
            "one class takes 62 points more of the pictures than in float32, over 10: "
            "collapsed",
        ),
    ],
)
def test_each_check_alone_rules_a_variant_out(change, reason):
    selection = select({"float16": {}, "int8": change})
    assert selection["choice"] == "float16"
    assert selection["reasons"] == {"int8": reason}
    assert selection["passed"] == ["float16"]
    assert selection["reason"] == "the only variant that is good enough"


@pytest.mark.parametrize(
    "change",
    [
        {"top1_drop_ci95": [-0.01, 0.008]},
        {"agreement_top1_ci95": [0.8, 0.95]},
        {"mean_kl": 0.02},
        {"collapse": 0.1},
    ],
)
def test_a_figure_on_the_limit_passes(change):
    assert judge({**GOOD, **change}, Gate(), smoke=False).passed


@pytest.mark.parametrize("point_estimate", [False, True])
@pytest.mark.parametrize("field", ["top1_drop", "mean_kl", "collapse"])
def test_a_figure_that_is_no_number_never_passes(field, point_estimate):
    gate = Gate(point_estimate=point_estimate)
    assert judge({**GOOD, field: math.nan}, gate, smoke=False).failed


def test_every_failed_check_is_named():
    bad = {"top1_drop": 0.5, "top1_drop_ci95": [0.4, 0.6]}
    bad |= {"mean_kl": 1.0, "collapse": 0.9}
    reason = select({"float16": {}, "int8": bad})["reasons"]["int8"]
    assert reason.count(";") == 2


def test_smoke_does_not_look_at_accuracy():
    cards = {"int8": {"top1_drop": 0.3, "top1_drop_ci95": [0.1, 0.5]}}
    selection = select(cards, smoke=True)
    assert (selection["choice"], selection["gate"]) == ("int8", "smoke")


@pytest.mark.parametrize("change", [{"mean_kl": 0.5}, {"collapse": 0.5}])
def test_smoke_still_looks_at_divergence_and_collapse(change):
    with pytest.raises(GateError):
        select({"int8": change}, smoke=True)


def test_unlabelled_pictures_are_smoke_whatever_they_are_called():
    unlabelled = {"top1_drop": None, "top1_drop_ci95": None}
    assert select({"int8": unlabelled})["gate"] == "smoke"


WIDE = {"top1_drop": 0.002, "top1_drop_ci95": [-0.01, 0.0081]}
UNDECIDED = (
    "undecided: its drop of top-1 lies between -1.00 and 0.81 points, the budget is "
    "0.80; about 1,500 labelled pictures may decide it and 3,000 probably will; 1,000 "
    "labelled pictures were there"
)


def test_the_upper_end_of_the_interval_decides():
    assert select({"int8": {"top1_drop_ci95": [-0.01, 0.008]}})["gate"] == "interval"


def test_a_variant_whose_interval_reaches_over_the_budget_is_undecided():
    selection = select({"float16": {}, "int8": WIDE})
    assert selection["choice"] == "float16"
    assert selection["passed"] == ["float16"]
    assert selection["undecided"] == ["int8"]
    assert selection["reasons"] == {"int8": UNDECIDED}


def test_where_nothing_is_decided_the_build_stops_and_says_how_many_pictures_it_takes():
    with pytest.raises(GateError) as caught:
        select({"int8": WIDE})
    assert str(caught.value) == (
        f"the pictures cannot decide which variant is good enough (int8: {UNDECIDED}). "
        "Give --images more labelled pictures, or accept the measured drops with "
        "--point-estimate"
    )
    assert caught.value.exit_code == 1


def test_of_several_undecided_the_one_that_needs_fewest_pictures_is_told_in_full():
    wider = {**WIDE, "paired": {"losses": 30, "gains": 25, "pairs": 1000}}
    with pytest.raises(GateError) as caught:
        select({"a": wider, "int8": WIDE, "b": wider, "c": {**WIDE, "mean_kl": 0.3}})
    message = str(caught.value)
    assert "c: KL 0.3000" in message
    assert f"int8: {UNDECIDED}; undecided too, with no fewer: a, b)" in message


def test_a_drop_over_the_budget_is_undecided_while_its_interval_reaches_in():
    over = {"top1_drop": 0.012, "top1_drop_ci95": [0.001, 0.02]}
    assert judge({**GOOD, **over}, Gate(), smoke=False).undecided
    assert judge({**GOOD, **over}, Gate(point_estimate=True), smoke=False).failed


def test_more_pictures_are_no_way_out_for_a_variant_that_fails_otherwise():
    with pytest.raises(GateError, match="no variant is good enough") as caught:
        select({"int8": {**WIDE, "mean_kl": 0.3}})
    assert "KL 0.3000" in str(caught.value)
    assert "point-estimate" not in str(caught.value)


def test_a_drop_on_the_budget_itself_is_said_to_be_beyond_any_number_of_pictures():
    edge = {**WIDE, "paired": {"losses": 8, "gains": 0, "pairs": 1000}}
    reason = select({"float16": {}, "int8": edge})["reasons"]["int8"]
    assert "no number of pictures decides a drop on the budget itself" in reason


@pytest.mark.parametrize(
    ("drop", "chosen"), [(0.008, "int8"), (0.0081, None), (-0.5, "int8")]
)
def test_the_point_estimate_accepts_the_measured_drop(drop, chosen):
    gate = Gate(point_estimate=True)
    cards = {"int8": {"top1_drop": drop, "top1_drop_ci95": [-0.6, 0.6]}}
    if chosen is None:
        with pytest.raises(GateError, match=r"top-1 drops 0\.81 points, over 0\.80"):
            select(cards, gate=gate)
    else:
        selection = select(cards, gate=gate)
        assert (selection["choice"], selection["gate"]) == (chosen, "point")


def test_a_whole_interval_within_the_budget_is_better_evidence_than_was_asked_for():
    assert select({"int8": {}}, gate=Gate(point_estimate=True))["gate"] == "interval"


def test_none_good_enough_names_each_reason_and_float16_as_the_way_out():
    with pytest.raises(GateError) as caught:
        select({"dynamic_int8": {"mean_kl": 0.3}, "int8": {"collapse": 0.7}})
    message = str(caught.value)
    assert "dynamic_int8: KL 0.3000, over 0.0200" in message
    assert "int8: one class takes 70 points more" in message
    assert "float16 is the way out: add it with --recipes float16" in message
    assert caught.value.exit_code == 1
    assert "\n" not in message


def test_where_even_float16_fails_the_pipeline_is_suspected():
    with pytest.raises(GateError, match="check the model's pipeline") as caught:
        select({"float16": {"mean_kl": 0.3}})
    assert "way out" not in str(caught.value)


def test_float32_alone_leaves_nothing_to_choose():
    with pytest.raises(GateError, match="--recipes float16,int8"):
        select({})


def test_budgets_decide_and_are_recorded():
    gate = Gate(max_top1_drop=0.001, point_estimate=True)
    selection = select({"float16": {"top1_drop": 0.001}, "int8": {}}, gate=gate)
    assert selection["choice"] == "float16"
    assert selection["budgets"] == {
        "max_top1_drop": 0.001,
        "min_agreement": 0.95,
        "max_mean_kl": 0.02,
        "max_collapse": 0.1,
    }


@pytest.mark.parametrize("prefer", ["", "best", "Smallest"])
def test_unknown_preference_is_bad_input(prefer):
    with pytest.raises(InputError, match="smallest or smallest-download or fastest"):
        select(ALL, prefer=prefer)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_top1_drop", 0.8001e1),
        ("max_top1_drop", -0.001),
        ("max_top1_drop", math.nan),
        ("min_agreement", 95),
        ("max_collapse", math.inf),
        ("max_mean_kl", -1),
        ("max_mean_kl", math.nan),
    ],
)
def test_impossible_budget_is_bad_input(name, value):
    with pytest.raises(InputError, match=name.replace("_", "-")):
        Gate(**{name: value})
