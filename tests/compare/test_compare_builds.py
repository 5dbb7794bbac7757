"""Finished builds against each other."""

import json
import shutil

import numpy as np


def compare(call, project, old, new, *flags):
    code, out, err = call(
        project, "compare", "--old", str(old), "--new", str(new), *flags, "--json"
    )
    value = json.loads(out)
    return code, {one["name"]: one for one in value["findings"]}, value, err


def test_a_build_against_a_changed_copy_of_itself(built, call, tmp_path):
    old = built.folder
    code, found, value, _ = compare(call, built, old, old)
    assert (code, value["passed"]) == (0, True)
    assert all(row["same_bytes"] for row in value["variants"])

    new = tmp_path / "new"
    shutil.copytree(old, new)
    evaluation = json.loads((new / "evaluation.json").read_text())
    evaluation["pipeline"]["channels"] = "bgr"
    (new / "evaluation.json").write_text(json.dumps(evaluation))
    choice = value["new"]["recipe"]
    scores = np.load(new / ".scores" / f"{choice}.npy")
    # Every answer moves on by a class: whatever was right is wrong now.
    np.save(new / ".scores" / f"{choice}.npy", np.roll(scores, 1, axis=1))
    code, found, _, err = compare(call, built, old, new)
    assert code == 1
    assert "contract" in err
    assert found["contract"]["detail"] == "channels: rgb -> bgr"
    assert found["agreement"]["change"] == 1.0
    assert found["top1"]["passed"] is False
    assert found["top1"]["change_ci95"][0] > 0

    code, found, _, _ = compare(
        call, built, old, new, "--accept", "contract,top1,agreement"
    )
    assert code == 0
    assert found["contract"]["accepted"]


def test_builds_of_different_pictures_are_not_paired(built, call, tmp_path):
    new = tmp_path / "new"
    shutil.copytree(built.folder, new)
    evaluation = json.loads((new / "evaluation.json").read_text())
    evaluation["dataset"]["sha256"] = "0" * 64
    evaluation["pipeline"]["kernel"] = "box"
    (new / "evaluation.json").write_text(json.dumps(evaluation))
    _, found, _, _ = compare(call, built, built.folder, new)
    assert found["top1"]["passed"] is None
    assert "different pictures" in found["top1"]["detail"]


def test_only_the_builds_own_model_describes_their_pictures(built, call, tmp_path):
    folder = str(built.folder)
    flags = ("--images", "pictures", "--model")
    for model, part in (
        ("nope", "no model 'nope'"),
        ("efficientnet_lite0", "built from tiny"),
    ):
        sides = ("--old", folder, "--new", folder)
        code, _, err = call(built, "compare", *sides, *flags, model)
        assert code == 2
        assert part in err
    code, found, _, _ = compare(call, built, folder, folder, *flags, "tiny.toml")
    assert code == 0
    assert "measured now" in found["agreement"]["detail"]
    assert found["top1"]["change"] == 0


def test_recorded_accuracies_keep_their_intervals(built, call):
    folder = str(built.folder)
    _, _, value, _ = compare(call, built, folder, folder)
    for row in value["variants"]:
        for top1, (low, high) in zip(row["top1"], row["top1_ci95"], strict=True):
            assert low <= top1 <= high
    _, out, _ = call(built, "compare", "--old", folder, "--new", folder)
    assert "top-1 % [95 %]" in out
    low, high = value["variants"][0]["top1_ci95"][0]
    assert f"[{100 * low:.1f}, {100 * high:.1f}]" in out
    assert max(map(len, out.splitlines())) <= 80
