"""Examples from idx files, folders and a published pickle; none of them trusted."""

import gzip
import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from edgedeploy.errors import WeightsError
from edgedeploy.ondevice.traindata import TrainingDataError, read_examples, read_idx
from edgedeploy.training.datasets import read_mnist_pickle


def _idx(array):
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


@pytest.fixture
def mnist_like(tmp_path):
    rng = np.random.default_rng(0)
    for name, rows in (("train", 6), ("t10k", 3)):
        x = rng.integers(0, 256, (rows, 4, 5)).astype(np.uint8)
        y = np.arange(rows, dtype=np.uint8)
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(x)))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(_idx(y))
    return tmp_path


def test_idx_files_are_read_gzipped_or_not(mnist_like):
    found = read_examples(mnist_like, (4, 5, 1))
    assert found["train"].x.shape == (6, 4, 5, 1)
    assert found["test"].labels.tolist() == [0, 1, 2]


def test_idx_files_of_another_size_are_refused(mnist_like):
    with pytest.raises(TrainingDataError, match="the model takes"):
        read_examples(mnist_like, (28, 28, 1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x08\x03\0\0",
        b"\0\0\x0d\x01\0\0\0\0",
        b"\0\0\x08\x01\0\0\0\x05abc",
        b"\0\0\x08\x03" + b"\xff" * 12,
        b"\0\0\x08\xff" + b"\0" * 20,
    ],
)
def test_damaged_idx_files_are_one_clear_error(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(TrainingDataError):
        read_idx(tmp_path / "a")


def test_damaged_gzip_is_one_clear_error(tmp_path):
    whole = gzip.compress(_idx(np.zeros(1000, np.uint8)))
    for name, data in (("a.gz", whole[:20]), ("b.gz", b"no gzip"), ("c.gz", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(TrainingDataError):
            read_idx(tmp_path / name)


def test_folders_are_classes_in_the_order_of_their_names(tmp_path):
    for part in ("train", "test"):
        for name, colour in (("b_red", (255, 0, 0)), ("a_blue", (0, 0, 255))):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            Image.new("RGB", (40, 20), colour).save(folder / "1.png")
            (folder / "notes.txt").write_text("no picture")
    found = read_examples(tmp_path, (6, 8, 3))["train"]
    assert found.labels.tolist() == [0, 1]
    assert found.x.shape == (2, 6, 8, 3)
    assert found.x[0, 0, 0].tolist() == [0, 0, 255]
    assert found.x[1, 3, 3].tolist() == [255, 0, 0]


def test_a_damaged_picture_is_named(tmp_path):
    folder = tmp_path / "train" / "a"
    folder.mkdir(parents=True)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 30)
    with pytest.raises(TrainingDataError, match=r"broken\.png"):
        read_examples(tmp_path, (6, 8, 3))


def test_an_empty_folder_says_what_is_expected(tmp_path):
    with pytest.raises(TrainingDataError, match="neither a folder train"):
        read_examples(tmp_path, (6, 8, 3))
    with pytest.raises(TrainingDataError, match="no such folder"):
        read_examples(tmp_path / "no", (6, 8, 3))


def _mnist_parts(rows=3):
    x = np.linspace(0, 1, rows * 784, dtype=np.float32).reshape(rows, 784)
    return (x, np.arange(rows)), (x[:1], np.arange(1)), (x[:2], np.arange(2))


def _pickled(tmp_path, value, protocol=2):
    path = tmp_path / "mnist.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(value, protocol)))
    return path


def test_published_arrays_become_pictures(tmp_path):
    # Python 3 pickles bytes through _codecs up to protocol 2; Python 2 did not.
    found = read_mnist_pickle(_pickled(tmp_path, _mnist_parts(), 3))
    assert found["train"].x.shape == (4, 28, 28, 1)
    assert found["train"].x.dtype == np.uint8
    assert found["train"].x[0].min() == 0
    assert found["train"].x[2].max() == 255
    assert found["train"].labels.tolist() == [0, 1, 2, 0]
    assert len(found["test"]) == 2


class _Evil:
    def __reduce__(self):
        return (eval, ("1 / 0",))


@pytest.mark.parametrize(
    "value", [_Evil(), [1, 2], ((1, 2),) * 3, None, (_mnist_parts()[0],) * 2]
)
def test_a_hostile_pickle_is_refused(tmp_path, value):
    with pytest.raises(WeightsError, match="no pickle of MNIST"):
        read_mnist_pickle(_pickled(tmp_path, value))


def test_a_damaged_pickle_is_refused(tmp_path):
    whole = gzip.compress(pickle.dumps(_mnist_parts(), 3))
    for data in (b"", whole[: len(whole) // 2], gzip.compress(b"garbage")):
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(WeightsError):
            read_mnist_pickle(tmp_path / "a")
