"""The sweep of networks whose output is a picture, from a model file to the page."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from style_network import SIDE, style_network

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["style.keras", "style.tflite", "bytes.tflite"])
def test_a_style_network_is_swept_picture_by_picture(project, name):
    shutil.copy(style_network() / name, project.root / name)
    done = project.run("sweep", "--model", name, "--json")
    assert done.returncode == 0, done.stderr
    assert "no picture on 0..255" not in done.stderr
    found = json.loads(done.stdout)
    assert found["outputs"] == "pictures"
    rows = {(row["scheme"], row["bits"]): row for row in found["rows"]}
    assert rows["float32", 32]["psnr_db"] is None
    # 8 bits are not to be seen, 1 bit leaves nothing.
    assert rows["linear", 8]["ssim"] > 0.98
    assert rows["linear", 8]["psnr_db"] > 35
    assert rows["linear", 1]["ssim"] < 0.9
    assert "top1" not in rows["linear", 8]
    assert len(found["pictures"]) == 6
    folder = project.root / "build" / name.partition(".")[0]
    page = (folder / "sweep.html").read_text("utf-8")
    # Of each: the picture, float32's output, and 24 others.
    assert page.count("<img") == 6 * 26
    assert f"width = {SIDE}" in (project.root / f"{folder.name}.toml").read_text()
    done = project.run("evaluate", "--model", f"{folder.name}.toml")
    assert done.returncode == 2
    assert "its output is a picture, not classes" in done.stderr
    assert done.stderr.count("\n") == 1


def test_pictures_need_no_labels(project):
    shutil.copy(style_network() / "style.tflite", project.root / "style.tflite")
    folder = project.root / "own"
    folder.mkdir()
    random = np.random.default_rng(5)
    for number in range(36):
        noise = random.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    done = project.run("sweep", "--model", "style.tflite", "--images", "own")
    assert done.returncode == 0, done.stderr
    assert "has a label" not in " ".join(done.stderr.split())
