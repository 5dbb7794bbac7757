"""`inv attribute`, on the tiny network."""

import json

FLAGS = ("--model", "tiny.toml", "--images", "pictures")


def test_layers_are_measured_on_calibration_pictures_and_reach_the_report(built, call):
    code, out, err = call(built, "attribute", *FLAGS, "--recipes", "int8", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found == built.read("attribution.json")
    assert found["pictures"] == 16
    layers = found["variants"]["int8"]["layers"]
    kinds = [layer["operator"] for layer in layers]
    assert kinds.count("CONV_2D") == 2
    assert kinds[-1] == "SOFTMAX"
    weighted = [
        one for one in layers if one["operator"] in ("CONV_2D", "FULLY_CONNECTED")
    ]
    worst = max(weighted, key=lambda one: one["own_noise"])
    assert found["variants"]["int8"]["keep"][0] == worst["name"]
    code, out, err = call(built, "attribute", *FLAGS, "--recipes", "int8")
    assert code == 0, err
    assert "int8: the answer has" in out


def test_without_a_quantised_variant_there_is_nothing_to_attribute(built, refused):
    line = refused(built, "attribute", *FLAGS, "--recipes", "float32")
    assert "Add one with --recipes, such as int8" in line
