import functools
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.selftest import main, run_selftest


def failures(report):
    return {c["name"]: c["detail"] for c in report["checks"] if not c["passed"]}


def edit(folder, change):
    """Change the contract and let the manifest agree, as a careful forger would."""
    path, manifest_path = folder / "contract.json", folder / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    manifest = json.loads(manifest_path.read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest["files"]["contract.json"]["sha256"] = digest
    manifest_path.write_text(json.dumps(manifest))


def test_fresh_bundle_passes_with_every_check_made(tiny_bundle):
    report = run_selftest(tiny_bundle)
    assert report["passed"], failures(report)
    # files, contract, 4 pictures, and for each of 3 models: itself and 4 answers.
    assert len(report["checks"]) == 2 + 4 + 3 * 5
    assert report["notes"] == []
    assert report["delegates"]["int8"] == "XNNPACK"


@pytest.mark.parametrize(
    "name", ["labels.txt", "models/float32.tflite", "golden/2.png", "contract.json"]
)
def test_altered_file_is_named(tiny_bundle, name):
    path = tiny_bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    report = run_selftest(tiny_bundle)
    assert not report["passed"]
    assert name in failures(report)["files"]


def test_missing_file_is_named(tiny_bundle):
    (tiny_bundle / "golden/3.png").unlink()
    found = failures(run_selftest(tiny_bundle))
    assert "3.png" in found["files"]
    assert "picture 3.png" in found


def test_other_crop_fails_at_the_picture(tiny_bundle):
    edit(tiny_bundle, lambda d: d["pipeline"].update(crop_fraction=0.8))
    found = failures(run_selftest(tiny_bundle))
    # The picture that has to be enlarged is cut differently too.
    assert set(found) == {f"picture {n}.png" for n in range(1, 5)}
    assert "RGB" in found["picture 1.png"]


def test_other_normalisation_fails_at_the_tensor(tiny_bundle):
    edit(tiny_bundle, lambda d: d["pipeline"].update(std=[255.001, 255.0, 255.0]))
    found = failures(run_selftest(tiny_bundle))
    assert "tensor" in found["picture 1.png"]


def test_int8_has_to_agree_bit_for_bit(tiny_bundle):
    def change(document):
        score = document["golden"][0]["expected"]["int8"]["output"][0]
        score[1] += 1 / 256

    edit(tiny_bundle, change)
    assert set(failures(run_selftest(tiny_bundle))) == {"int8 on 1.png"}


def test_swapped_models_fail_even_with_consistent_digests(tiny_bundle):
    def change(document):
        variants = document["variants"]
        for key in ("file", "sha256"):
            variants["float32"][key], variants["int8"][key] = (
                variants["int8"][key],
                variants["float32"][key],
            )

    edit(tiny_bundle, change)
    assert {"float32 model", "int8 model"} <= set(failures(run_selftest(tiny_bundle)))


def test_bundle_without_golden_vectors_fails(tiny_bundle):
    edit(tiny_bundle, lambda d: d.update(golden=[]))
    assert "golden" in failures(run_selftest(tiny_bundle))


def test_other_delegate_widens_int8_by_one_step_and_says_so(tiny_bundle):
    def change(document):
        document["variants"]["int8"]["delegate"] = "none"
        for pair in document["golden"][0]["expected"]["int8"]["output"]:
            pair[1] += 1 / 256

    edit(tiny_bundle, change)
    report = run_selftest(tiny_bundle)
    assert report["passed"], failures(report)
    assert "tolerance was made for none" in report["notes"][0]


def test_runtime_without_delegate_is_held_to_the_answers_without(
    tiny_bundle, monkeypatch
):
    bare = functools.partial(Model, xnnpack=False)
    monkeypatch.setattr("edgedeploy.ondevice.selftest.Model", bare)
    report = run_selftest(tiny_bundle)
    assert report["passed"], failures(report)
    assert report["delegates"]["int8"] == "none"
    assert report["notes"] == []
    details = {check["name"]: check["detail"] for check in report["checks"]}
    assert details["int8 on 1.png"] == "bit for bit"

    def change(document):
        answers = document["golden"][0]["expected_without_delegate"]
        answers["int8"]["output"][0][1] += 1 / 256

    edit(tiny_bundle, change)
    assert set(failures(run_selftest(tiny_bundle))) == {"int8 on 1.png"}


def test_arm_is_held_to_the_answers_of_its_own_softmax(tiny_bundle, monkeypatch):
    """The 64-bit Arm kernel is LiteRT's other one; see targets/arm_softmax.py."""
    document = json.loads((tiny_bundle / "contract.json").read_text())
    assert set(document["golden"][0]["expected_on_arm64"]) == {"int8"}

    def change(document):
        # Only the digest: bit for bit is what the promise says.
        answers = document["golden"][0]["expected_on_arm64"]
        answers["int8"]["raw_sha256"] = "0" * 64

    edit(tiny_bundle, change)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert run_selftest(tiny_bundle)["passed"]
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert "int8 on 1.png" in failures(run_selftest(tiny_bundle))


def test_golden_rgb_digest_is_of_the_picture_that_pillow_makes(tiny_bundle):
    """An independent path: Pillow alone, with the box worked out by hand."""
    document = json.loads((tiny_bundle / "contract.json").read_text())
    image = Image.open(tiny_bundle / "golden/1.png")
    assert image.size == (320, 213)
    # 0.9 * 213 = 191.7, so 191; of the other 129 columns 65 lie on the left, and of
    # the other 22 rows 11 above.
    cut = image.crop((65, 11, 256, 202)).resize((32, 32), Image.Resampling.BILINEAR)
    entry = document["golden"][0]
    assert hashlib.sha256(cut.tobytes()).hexdigest() == entry["rgb_sha256"]
    tensor = np.asarray(cut).astype(np.float64) / 255
    assert entry["tensor_mean"] == pytest.approx(tensor.mean(), abs=1e-7)
    model = Model(tiny_bundle / "models/float32.tflite")
    scores = model.invoke(tensor[None].astype(np.float32))[0]
    assert entry["expected"]["float32"]["top_k"][0][0] == int(scores.argmax())


def test_command_prints_a_line_a_check_and_exits_by_the_result(tiny_bundle, capsys):
    assert main(["--folder", str(tiny_bundle)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "self-test passed"
    assert sum(line.startswith("ok") for line in lines) == 21
    (tiny_bundle / "labels.txt").write_text("x\n")
    assert main(["--folder", str(tiny_bundle), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False
    assert main(["--folder", str(tiny_bundle), "--variant", "int4"]) == 1


def test_variant_narrows_what_is_replayed(tiny_bundle, capsys):
    arguments = ["--folder", str(tiny_bundle), "--json"]
    assert main([*arguments, "--variant", "int8", "--variant", "float32"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["delegates"]) == ["int8", "float32"]
    names = {check["name"].split()[0] for check in report["checks"]}
    assert names == {"files", "contract", "picture", "int8", "float32"}


def test_unknown_variant_or_runtime_exits_2(tiny_bundle, capsys):
    assert main(["--folder", str(tiny_bundle), "--variant", "int4"]) == 2
    assert "no variant 'int4'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["--folder", str(tiny_bundle), "--runtime", "none"])
    assert ended.value.code == 2
