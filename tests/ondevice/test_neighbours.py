"""Nearest neighbours over an embedding: by hand, by brute force, and damaged."""

import hashlib
import io
import json

import numpy as np
import pytest
import tiny_models as tiny

from edgedeploy.ondevice.classifier import Classifier
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.delivered import BundleError
from edgedeploy.ondevice.neighbours import (
    NeighbourError,
    NeighbourTable,
    read_array,
    read_table,
)
from edgedeploy.ondevice.selftest import run_selftest

VECTORS = np.array([[1, 0], [0, 1], [2, 0], [0, 3], [-1, 0]], np.float32)
CLASSES = np.array([0, 1, 0, 1, 2], np.int32)


def table(vectors=VECTORS, classes=CLASSES, metric="euclidean", k=1, labels=3):
    return NeighbourTable(vectors, classes, metric=metric, k=k, labels=labels)


@pytest.mark.parametrize(
    ("metric", "k", "embedding", "expected"),
    [
        ("euclidean", 1, (1.1, 0), (1, 0, 0)),
        ("euclidean", 1, (0, 9), (0, 1, 0)),
        # (1, 0), (2, 0) and (0, 1): two votes to one.
        ("euclidean", 3, (1.4, 0.1), (2 / 3, 1 / 3, 0)),
        # The direction counts, not the length: (1, 0) and (2, 0) are both at 1.
        ("cosine", 2, (100, 1), (1, 0, 0)),
        ("cosine", 1, (-0.001, 0), (0, 0, 1)),
        ("euclidean", 5, (0, 0), (0.4, 0.4, 0.2)),
    ],
)
def test_votes_worked_out_by_hand(metric, k, embedding, expected):
    found = table(metric=metric, k=k).scores(np.array([embedding], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([expected], np.float32))


def test_rows_that_are_equally_near_count_in_their_order():
    same = np.zeros((4, 2), np.float32)
    found = table(same, np.array([2, 1, 0, 0], np.int32), k=2)
    np.testing.assert_array_equal(
        found.scores(np.ones((1, 2), np.float32)), [[0, 0.5, 0.5]]
    )


def test_zeros_are_at_similarity_nought_from_all():
    # Row 4 points away from (1, 1), so zeros are nearer than it and row 0 comes first.
    found = table(metric="cosine", k=1).scores(np.zeros((1, 2), np.float32))
    np.testing.assert_array_equal(found, [[1, 0, 0]])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_are_those_of_brute_force(metric):
    random = np.random.default_rng(7)
    vectors = random.normal(size=(200, 33)).astype(np.float32)
    classes = random.integers(0, 10, 200).astype(np.int32)
    asked = random.normal(size=(20, 33)).astype(np.float32)
    found = table(vectors, classes, metric, 7, 10).scores(asked)
    wide, queries = vectors.astype(np.longdouble), asked.astype(np.longdouble)
    for row, query in enumerate(queries):
        if metric == "euclidean":
            order = np.argsort(((wide - query) ** 2).sum(axis=1))
        else:
            lengths = np.sqrt((wide**2).sum(axis=1) * (query**2).sum())
            order = np.argsort(-(wide @ query) / lengths)
        votes = np.bincount(classes[order[:7]], minlength=10) / 7
        np.testing.assert_array_equal(found[row], votes.astype(np.float32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vectors": VECTORS.astype(np.float64)}, "vectors must be float32"),
        ({"vectors": VECTORS[0]}, "vectors must be float32"),
        ({"vectors": VECTORS[:0], "classes": CLASSES[:0]}, "vectors must be"),
        ({"vectors": VECTORS * np.float32(np.nan)}, "no finite numbers"),
        ({"classes": CLASSES[:-1]}, "classes must be int32 of shape"),
        ({"classes": CLASSES.astype(np.int64)}, "classes must be int32"),
        ({"classes": CLASSES - 1}, "classes must be 0 to 2; they are -1 to 1"),
        ({"labels": 2}, "classes must be 0 to 1"),
        ({"metric": "manhattan"}, "metric must be cosine or euclidean"),
        ({"k": 0}, "k must be 1 to the table's 5 rows"),
        ({"k": 6}, "k must be 1 to"),
        ({"k": True}, "k must be 1 to"),
    ],
    ids=str,
)
def test_table_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(NeighbourError, match=message):
        table(**changes)


def test_embedding_of_another_length_is_refused():
    with pytest.raises(NeighbourError, match="embeddings of 2 values"):
        table().scores(np.zeros((1, 3), np.float32))


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        npy(VECTORS)[:40],
        npy(VECTORS)[:-4],
        npy(np.array([{}], object), allow_pickle=True),
        npy(VECTORS).replace(b"(5, 2)", b"(5, -"),
        npy(VECTORS).replace(b"'descr'", b"((((((("),
        npy(np.asfortranarray(VECTORS)),
        npy(VECTORS.astype(">f4")),
        npy(VECTORS.astype(np.float64)),
        npy(VECTORS) + b"more",
        b"PK\x03\x04" + bytes(60),
    ],
    ids=range(12),
)
def test_file_that_is_no_plain_array_is_refused(tmp_path, data):
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    with pytest.raises(NeighbourError):
        read_array(path)


def test_header_that_promises_more_than_there_is_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "x.npy"
    huge = npy(VECTORS).replace(b"(5, 2), }             ", b"(500000000, 2000), }  ")
    assert len(huge) == len(npy(VECTORS))
    path.write_bytes(huge)
    with pytest.raises(NeighbourError, match="promises 4000000000000 bytes"):
        read_array(path)


def test_altered_file_is_refused(tmp_path):
    vectors, classes = tmp_path / "v.npy", tmp_path / "c.npy"
    vectors.write_bytes(npy(VECTORS))
    classes.write_bytes(npy(CLASSES))
    digest = hashlib.sha256(npy(CLASSES)).hexdigest()
    with pytest.raises(NeighbourError, match="expected sha256"):
        read_table(
            (vectors, "0" * 64), (classes, digest), metric="cosine", k=1, labels=3
        )
    with pytest.raises(NeighbourError, match="cannot be read"):
        read_array(tmp_path / "none.npy")


@pytest.fixture(scope="module")
def payload(batch_models, tmp_path_factory):
    """A bundle whose network gives seven numbers, of which neighbours make classes."""
    from edgedeploy.specs import Neighbours

    folder = tmp_path_factory.mktemp("table")
    random = np.random.default_rng(1)
    np.save(folder / "v.npy", random.random((40, 7)).astype(np.float32))
    np.save(folder / "c.npy", random.integers(0, 3, 40).astype(np.int32))
    spec = tiny.tiny_spec(
        labels=("oak", "elm", "ash"),
        neighbours=Neighbours(
            vectors=str(folder / "v.npy"),
            classes=str(folder / "c.npy"),
            metric="cosine",
            k=9,
        ),
    )
    from edgedeploy.targets.payload import build_payload

    return build_payload(
        spec,
        [tiny.Converted("float32", batch_models["float32"])],
        default="float32",
        facts={},
        pictures=tiny.draw_pictures(folder),
    )


@pytest.fixture
def bundle(payload, tmp_path):
    return tiny.unpack(payload, tmp_path / "bundle")


def test_contract_describes_the_table(bundle):
    found = json.loads((bundle / "contract.json").read_text())["neighbours"]
    assert (found["metric"], found["k"], found["dimensions"]) == ("cosine", 9, 7)
    for name in ("vectors", "classes"):
        data = (bundle / found[name]["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == found[name]["sha256"]


def test_classifier_answers_with_votes_alone_and_in_batches(bundle):
    pictures = sorted((bundle / "golden").glob("*.png"))
    alone = [Classifier(bundle).classify(one, 3) for one in pictures]
    assert Classifier(bundle, batch=3).predict(pictures, 3) == alone
    for guesses in alone:
        assert {guess.label for guess in guesses} == {"oak", "elm", "ash"}
        assert sum(guess.score for guess in guesses) == pytest.approx(1)
        assert all(
            (guess.score * 9) == pytest.approx(round(guess.score * 9), abs=1e-5)
            for guess in guesses
        )


def test_selftest_passes_and_counts_the_neighbours(bundle):
    report = run_selftest(bundle)
    assert report["passed"] is True
    details = [check["detail"] for check in report["checks"]]
    assert "7 outputs, 3 labels, 40 neighbours" in details


def test_altered_table_is_refused_by_program_and_selftest(bundle):
    path = bundle / "neighbours/vectors.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(ContractError, match="expected sha256"):
        Classifier(bundle)
    assert run_selftest(bundle)["passed"] is False


@pytest.mark.parametrize(
    "changes",
    [
        {"k": 41},
        {"metric": "no"},
        {"dimensions": 8},
        {"k": "many"},
        {"vectors": {"file": "../v.npy", "sha256": ""}},
        {"vectors": {}},
    ],
    ids=str,
)
def test_contract_that_makes_no_sense_is_refused(bundle, changes):
    path = bundle / "contract.json"
    document = json.loads(path.read_text())
    document["neighbours"].update(changes)
    path.write_text(json.dumps(document))
    with pytest.raises((BundleError, NeighbourError)):
        Classifier(bundle)


def read_toml(tmp_path, table):
    """Read the shipped EfficientNet's TOML with a table of neighbours."""
    import shutil

    from edgedeploy.catalog import read_model_file
    from edgedeploy.resources import resource_folder

    models, copy = resource_folder("models"), tmp_path / "models"
    copy.mkdir()
    for folder in ("labels", "licences"):
        shutil.copytree(models / folder, copy / folder)
    text = (models / "efficientnet_lite0.toml").read_text()
    (copy / "own.toml").write_text(f"{text}\n[weights.neighbours]\n{table}\n")
    return read_model_file(copy / "own.toml")[0].neighbours


def test_toml_names_files_beside_it(tmp_path):
    found = read_toml(tmp_path, 'vectors = "v.npy"\nclasses = "c.npy"\nk = 3')
    assert found.vectors == str((tmp_path / "models" / "v.npy").resolve())
    assert (found.metric, found.k) == ("cosine", 3)


@pytest.mark.parametrize(
    "table",
    [
        'vectors = "v.npy"',
        'vectors = 3\nclasses = "c.npy"',
        'vectors = "v.npy"\nclasses = "c.npy"\nneighbors = 3',
    ],
)
def test_impossible_table_in_the_toml_is_refused_by_file(tmp_path, table):
    from edgedeploy.errors import InputError

    with pytest.raises(InputError, match=r"own\.toml: "):
        read_toml(tmp_path, table)
