"""Passes over real picture files through real .tflite files, in a child process."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedeploy.errors import EvaluationError, IsolatedError, WorkspaceError
from edgedeploy.evaluate.engine import score_pictures
from edgedeploy.ondevice.contract import ImagePipeline

SIDE = 96
# XNNPACK sums thousands of equal float32 values one after another.
ROUNDING = 2e-3
PIPELINE = ImagePipeline(width=SIDE, height=SIDE, std=(255.0, 255.0, 255.0))


def convert(path, weights):
    """Average the picture's colours, times weights (3, classes), softmax."""
    import tensorflow as tf

    layers = tf.keras.layers
    network = tf.keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3), batch_size=1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(
                weights.shape[1],
                activation="softmax",
                use_bias=False,
                kernel_initializer=lambda *_, **__: tf.constant(weights, tf.float32),
            ),
        ]
    )
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Answers red, green or blue, whichever a picture has most of."""
    return convert(tmp_path_factory.mktemp("engine") / "rgb.tflite", 9 * np.eye(3))


def draw(path, colour, size=(SIDE, SIDE)):
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def pictures(tmp_path):
    """60 lossless pictures, each of its own colour and some of odd sizes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(6)
    colours = rng.integers(0, 256, (60, 3))
    return [
        draw(folder / f"{n:02}.png", tuple(c), (SIDE + n % 4, SIDE))
        for n, c in enumerate(colours.tolist())
    ], colours


def score(model, pictures, out, **changes):
    options = {
        "pipeline": PIPELINE,
        "out": out,
        "decoded": None,
        "threads": 2,
        "runtime": "auto",
        "what": "evaluating rgb",
    }
    return score_pictures(model, pictures, **(options | changes))


def expected_scores(colours):
    """The network by hand: softmax of nine times the mean colour."""
    powers = np.exp(9 * colours / 255)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_scores_are_the_networks_in_the_pictures_order(
    model, pictures, tmp_path, threads
):
    paths, colours = pictures
    done = score(model, paths, tmp_path / "s.npy", threads=threads)
    np.testing.assert_allclose(done.scores, expected_scores(colours), atol=ROUNDING)
    assert done.scores.dtype == np.float32
    assert done.skipped == {}
    assert done.images_per_s > 0
    assert done.delegate in ("XNNPACK", "none")


def test_scores_stay_on_disk(model, pictures, tmp_path):
    done = score(model, pictures[0][:3], tmp_path / "s.npy")
    assert isinstance(done.scores, np.memmap)
    assert [path.name for path in tmp_path.glob("*s.npy*")] == ["s.npy"]


def test_undecodable_pictures_are_skipped_with_a_reason(model, pictures, tmp_path):
    paths, colours = pictures
    paths[1].write_bytes(b"")
    paths[4].write_text("no picture")
    paths[7].write_bytes(paths[7].read_bytes()[:60])
    paths[9].unlink()
    store = (tmp_path / "decoded", "key")
    first = score(model, paths, tmp_path / "1.npy", decoded=store)
    assert sorted(first.skipped) == [1, 4, 7, 9]
    for index, reason in first.skipped.items():
        assert str(paths[index]) in reason
    assert np.isnan(first.scores[[1, 4, 7, 9]]).all()
    good = [n for n in range(60) if n not in first.skipped]
    np.testing.assert_allclose(
        first.scores[good], expected_scores(colours[good]), atol=ROUNDING
    )
    second = score(model, paths, tmp_path / "2.npy", decoded=store)
    assert second.skipped == first.skipped
    np.testing.assert_array_equal(second.scores, first.scores)


def test_second_pass_reads_the_decoded_pictures_and_not_the_files(
    model, pictures, tmp_path
):
    paths, _ = pictures
    store = (tmp_path / "decoded", "key")
    first = score(model, paths, tmp_path / "1.npy", decoded=store)
    for path in paths:
        path.unlink()
    second = score(model, paths, tmp_path / "2.npy", decoded=store)
    np.testing.assert_array_equal(second.scores, first.scores)
    without = score(model, paths, tmp_path / "3.npy")
    assert len(without.skipped) == 60


def test_decoded_pictures_of_a_killed_pass_are_not_taken(model, pictures, tmp_path):
    paths, colours = pictures
    store = tmp_path / "decoded"
    with pytest.raises(IsolatedError):
        score(
            model, paths * 20, tmp_path / "1.npy", decoded=(store, "key"),
            progress=end_children(signal.SIGKILL),
        )  # fmt: skip
    done = score(model, paths * 20, tmp_path / "2.npy", decoded=(store, "key"))
    np.testing.assert_allclose(
        done.scores, np.tile(expected_scores(colours), (20, 1)), atol=ROUNDING
    )


@pytest.mark.parametrize(("seed", "kept"), [(1, True), (2, False)])
def test_killed_pass_goes_on_and_ends_as_if_it_had_not_been(
    model, pictures, tmp_path, seed, kept
):
    paths = pictures[0] * 50
    paths[1000] = tmp_path / "missing.png"
    decoded = (tmp_path / "decoded", "key") if kept else None
    at = random.Random(seed).randrange(1, 1500)
    out = tmp_path / "s.npy"
    with pytest.raises(IsolatedError, match="SIGKILL"):
        score(
            model, paths, out, identity="a", decoded=decoded,
            progress=end_children(signal.SIGKILL, at),
        )  # fmt: skip
    assert not out.exists()
    told = []
    done = score(
        model, paths, out, identity="a", decoded=decoded,
        progress=lambda count, _total, _found: told.append(count),
    )  # fmt: skip
    assert at <= done.resumed < len(paths)
    assert min(told) >= done.resumed
    whole = score(model, paths, tmp_path / "whole.npy")
    assert out.read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert done.skipped == whole.skipped
    assert list(done.skipped) == [1000]
    assert whole.resumed == 0
    assert {path.name for path in tmp_path.glob("*npy*")} == {"s.npy", "whole.npy"}


def test_another_pass_or_machine_starts_from_the_beginning(model, pictures, tmp_path):
    out, paths = tmp_path / "s.npy", pictures[0] * 50

    def resumed(**changes):
        with pytest.raises(IsolatedError):
            score(
                model, paths, out, identity="a",
                progress=end_children(signal.SIGKILL, 200),
            )  # fmt: skip
        return score(model, paths, out, **({"identity": "a"} | changes)).resumed

    assert resumed(identity="b") == 0
    assert resumed(node={"cpu_features": "another"}) == 0


def test_number_of_threads_does_not_change_a_bit(model, pictures, tmp_path):
    paths = pictures[0] * 3
    found = {
        score(model, paths, tmp_path / "s.npy", threads=threads).scores.tobytes()
        for threads in (1, 2, 7)
    }
    assert len(found) == 1


def end_children(number, at=0):
    """A progress function that sends this process's children a signal."""

    def end(done, _total, _found):
        if done < at:
            return
        for task in Path("/proc/self/task").iterdir():
            for child in (task / "children").read_text().split():
                os.kill(int(child), number)

    return end


@pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(),
    reason="needs Linux's /proc/*/children to find the child; run on Linux",
)
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_of_the_runtime_is_one_error_and_leaves_nothing(
    model, pictures, tmp_path, number
):
    with pytest.raises(IsolatedError) as caught:
        score(
            model, pictures[0] * 20, tmp_path / "s.npy", progress=end_children(number)
        )
    assert f"evaluating rgb: the child died of {number.name}" in str(caught.value)
    assert list(tmp_path.glob("*s.npy*")) == []


def test_a_file_that_is_no_model_is_an_error(pictures, tmp_path):
    (tmp_path / "bad.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(200))
    with pytest.raises((EvaluationError, IsolatedError), match=r"bad|evaluating"):
        score(tmp_path / "bad.tflite", pictures[0], tmp_path / "s.npy")


def test_a_missing_model_is_an_error(pictures, tmp_path):
    with pytest.raises(EvaluationError, match="no such model file"):
        score(tmp_path / "gone.tflite", pictures[0], tmp_path / "s.npy")


def test_a_contract_of_another_size_is_an_error(model, pictures, tmp_path):
    other = ImagePipeline(width=SIDE, height=SIDE - 1)
    with pytest.raises(EvaluationError, match="mend width and height"):
        score(model, pictures[0], tmp_path / "s.npy", pipeline=other)


def test_no_pictures_is_an_error(model, tmp_path):
    with pytest.raises(EvaluationError, match="there are no pictures"):
        score(model, [], tmp_path / "s.npy")


def test_a_network_that_answers_nan_is_an_error(pictures, tmp_path):
    # Infinite minus infinite, as where half-precision weights overflow.
    weights = np.full((3, 3), np.inf)
    overflowing = convert(tmp_path / "nan.tflite", weights)
    with pytest.raises(EvaluationError, match="not a number") as caught:
        score(overflowing, pictures[0], tmp_path / "s.npy")
    assert str(pictures[0][0]) in str(caught.value)


def test_a_folder_that_cannot_be_written_is_an_error(model, pictures, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkspaceError, match="file"):
        score(model, pictures[0], tmp_path / "file" / "s.npy")


MEASURE = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from edgedeploy.evaluate.engine import score_pictures
from edgedeploy.ondevice.contract import ImagePipeline
model, out, decoded, count, *paths = sys.argv[2:]
paths = [Path(path) for path in paths] * int(count)
decoded = (Path(decoded), f"{count:0>9}") if decoded != "none" else None
score_pictures(Path(model), paths, out=Path(out), decoded=decoded, threads=2,
               runtime="auto", what="x", pipeline=ImagePipeline(width=96, height=96))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize("store", ["none", "decoded"])
def test_memory_does_not_grow_with_the_number_of_pictures(
    model, pictures, tmp_path, store
):
    root = Path(__file__).parents[2]
    if store != "none":
        store = tmp_path / store

    def peak_rss(repeats):
        paths = [str(path) for path in pictures[0][:40]]
        out = tmp_path / "s.npy"
        command = [sys.executable, "-c", MEASURE, root, model, out, store]
        done = subprocess.run(
            [*map(str, command), str(repeats), *paths],
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    few, many = peak_rss(1), peak_rss(50)
    # 2,000 decoded pictures would be 55 MB.
    assert many - few < 20_000_000
    if store != "none":
        assert len(list(store.iterdir())) == 2
        # The second pass maps them all.
        assert peak_rss(50) - few < 20_000_000
