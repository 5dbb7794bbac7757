import base64
import hashlib
import io

import numpy as np
import pytest
import tiny_models as tiny
from PIL import Image

from edgedeploy.errors import InputError
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.ondevice.runtime import Model
from edgedeploy.targets.golden import golden_vectors
from edgedeploy.targets.golden_answers import answer_pictures, describe_answer
from edgedeploy.targets.golden_pictures import describe_tensor, make_golden_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return tiny.draw_pictures(tmp_path_factory.mktemp("pictures"))


def test_golden_pictures_are_small_plain_and_of_different_shapes(pictures):
    encoded = make_golden_pictures(pictures)
    assert encoded == make_golden_pictures(pictures)
    images = [Image.open(io.BytesIO(png)) for png in encoded]
    assert [(i.size, i.mode) for i in images] == [
        ((320, 213), "RGB"),
        ((180, 320), "RGB"),
        ((97, 83), "RGB"),
        ((320, 256), "RGBA"),
    ]
    for image in images:
        assert image.format == "PNG"
        assert not image.info
        assert not image.getexif()


def test_transparent_picture_depends_on_the_background(pictures):
    png = make_golden_pictures(pictures)[3]
    white, black = (
        prepare(png, ImagePipeline(width=32, height=32, alpha_over=(v, v, v)))
        for v in (255, 0)
    )
    # Opaque at the left, clear at the right, so only the right shows the background.
    assert white[:, -1].mean() > 200
    assert black[:, -1].mean() < 50
    # The crop begins a tenth into the ramp.
    assert abs(white[:, 0].astype(int) - black[:, 0]).max() < 45


def test_tensor_description_by_hand():
    rgb = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    pipeline = ImagePipeline(width=2, height=2, mean=(1.0, 1.0, 1.0), std=(2.0,) * 3)
    described = describe_tensor(rgb, pipeline)
    assert described["tensor_samples"] == [[n, (n - 1) / 2] for n in range(12)]
    assert described["tensor_mean"] == 2.25
    assert described["rgb_sha256"] == hashlib.sha256(bytes(range(12))).hexdigest()


def test_answer_lists_the_best_sixteen_of_many_classes():
    scores = np.linspace(0, 1, 100, dtype=np.float32)
    answer = describe_answer(scores, None)
    assert [index for index, _ in answer["output"]] == list(range(99, 83, -1))
    assert answer["top_k"] == answer["output"][:5]
    assert answer["raw_sha256"] is None


def test_child_answers_as_the_parent_would(tiny_models, pictures):
    png = make_golden_pictures(pictures)[0]
    pipeline = tiny.tiny_spec().pipeline
    done = []
    reply = answer_pictures(
        str(tiny_models["int8"]),
        pipeline.to_dict(),
        [base64.b64encode(png).decode()],
        True,
        lambda *progress: done.append(progress),
    )
    assert reply["delegate"] == "XNNPACK"
    assert done == [(1, 2), (2, 2)]
    for answers in (reply["answers"], reply["plain"]):
        scores = dict(answers[0]["output"])
        # Softmax in 256ths adds up to one, but for the rounding of each of 7 classes.
        assert sum(scores.values()) == pytest.approx(1, abs=7 / 512)


def test_least_certain_picture_of_each_shape_is_taken(tiny_models, tmp_path):
    rng = np.random.default_rng(4)
    paths = []
    for number in range(8):
        values = rng.integers(0, 256, (6, 6, 3), np.uint8)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(values).resize((330, 330)).save(paths[-1])
    pipeline = tiny.tiny_spec().pipeline
    model = Model(tiny_models["float32"])
    sure = [
        model.scores(prepare(png, pipeline)[None], pipeline)[0].max()
        for png in make_golden_pictures(paths)
    ]
    golden = golden_vectors(
        pipeline, [tiny.Converted("float32", tiny_models["float32"])], paths
    )
    # Pictures n and n + 4 compete for shape n.
    assert golden.sources == tuple(
        paths[n] if sure[n] <= sure[n + 4] else paths[n + 4] for n in range(4)
    )
    scores = [e["expected"]["float32"]["top_k"][0][1] for e in golden.entries]
    assert scores == [min(sure[n], sure[n + 4]) for n in range(4)]


def test_pictures_are_needed_and_have_to_be_pictures(tmp_path):
    with pytest.raises(InputError, match="at least one"):
        make_golden_pictures([])
    (tmp_path / "x.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"x\.png"):
        make_golden_pictures([tmp_path / "x.png"])
