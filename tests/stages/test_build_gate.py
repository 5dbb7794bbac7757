"""A build on too few pictures: neither a silent pass nor a silent failure."""

import json

FLAGS = ("--model", "tiny.toml", "--images", "pictures", "--recipes", "int8")


def test_too_few_pictures_are_undecided_and_told_how_many_it_takes(built, refused):
    line = refused(built, "choose", *FLAGS, code=1)
    # No answer changed, so 477 pictures are the least that can decide.
    assert "the pictures cannot decide which variant is good enough" in line
    assert "about 480 labelled pictures may decide it and 980 probably will" in line
    assert "32 labelled pictures were there" in line
    assert line.rstrip().endswith("accept the measured drops with --point-estimate")


def test_the_measured_drop_can_be_accepted_in_a_moment(built, call):
    code, out, err = call(built, "choose", *FLAGS, "--point-estimate", "--json")
    assert code == 0, err
    selection = json.loads(out)
    assert (selection["choice"], selection["gate"]) == ("int8", "point")
    assert selection["undecided"] == []
    assert "convert" not in err


def test_a_budget_beyond_the_interval_needs_no_such_word(built, call):
    code, out, err = call(built, "choose", *FLAGS, "--max-top1-drop", "0.2", "--json")
    assert code == 0, err
    assert json.loads(out)["gate"] == "interval"
