"""int8 by LiteRT's quantizer, from the command line."""

import json

import pytest


@pytest.mark.slow
def test_int8_lq_stands_beside_the_other_recipes(project, tiny):
    pytest.importorskip(
        "litert_quantizer", reason='int8_lq needs pip install "edgedeploy[lq]"'
    )
    tiny.write_pictures(project.root / "calibration", seed=77)
    flags = (
        *("--model", "tiny.toml", "--recipes", "int8_lq", "--json"),
        *("--images", "pictures", "--calibration", "calibration"),
    )
    done = project.run("convert", *flags)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)["int8_lq"]
    assert (facts["input"]["dtype"], facts["output"]["dtype"]) == ("uint8", "uint8")
    folder = project.folder / "variants" / "int8_lq"
    cost = json.loads((folder / "conversion.json").read_text("utf-8"))
    pictures = list((project.root / "calibration").rglob("*.png"))
    assert cost["calibration_images"] == len(pictures)
    assert cost["wall_s"] > 0
    whole = project.folder / "variants" / "float32" / "conversion.json"
    tensorflow = json.loads(whole.read_text("utf-8"))
    # TensorFlow alone takes several hundred megabytes.
    assert cost["peak_rss_bytes"] < tensorflow["peak_rss_bytes"]
    assert "litert-quantizer" in project.lock.read_text("utf-8")
    before = (folder / "model.tflite").stat().st_mtime_ns
    done = project.run("evaluate", *flags)
    assert done.returncode == 0, done.stderr
    assert (folder / "model.tflite").stat().st_mtime_ns == before
    card = json.loads(done.stdout)["variants"]["int8_lq"]
    # The fourth class's weights are zeros: its answers rest on its bias alone.
    assert card["agreement_top1"] == 1.0
    assert card["mean_kl"] < 0.001
