"""Batches: the same answers as one by one, in order, in bounded memory."""

import itertools
import json

import numpy as np
import pytest
import tiny_models as tiny
from PIL import Image

from edgedeploy.ondevice.batches import MAX_BATCH, prepare_in_batches
from edgedeploy.ondevice.bundle import read_bundle
from edgedeploy.ondevice.classify import Classifier, main
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.delivered import BundleError
from edgedeploy.ondevice.pictures import PictureError
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.tensors import ModelError
from edgedeploy.ondevice.trial import make_input


@pytest.fixture(scope="module")
def payload(batch_models):
    return tiny.build_tiny_payload(batch_models, batches={"int8": 4, "float32": 2})


@pytest.fixture
def bundle(payload, tmp_path):
    return tiny.unpack(payload, tmp_path / "bundle")


def pictures(count, seed=5):
    random = np.random.default_rng(seed)
    for _ in range(count):
        small = random.integers(0, 256, (4, 5, 3), np.uint8)
        yield np.asarray(Image.fromarray(small).resize((60, 48)))


@pytest.mark.parametrize(
    ("recipe", "tolerance"), [("int8", 0.0), ("float32", 1e-6), ("dynamic_int8", 1e-6)]
)
@pytest.mark.parametrize("count", [2, 3, 16])
def test_batch_gives_the_outputs_of_single_pictures(
    batch_models, recipe, tolerance, count
):
    model = Model(batch_models[recipe])
    singles = [make_input(model.input, seed) for seed in range(count)]
    alone = np.concatenate([model.invoke(one) for one in singles])
    together = model.invoke(np.concatenate(singles))
    assert together.dtype == alone.dtype
    difference = np.abs(together.astype(np.float64) - alone.astype(np.float64)).max()
    assert difference <= tolerance
    # Pictures that all get one answer would show nothing.
    assert len(np.unique(alone, axis=0)) == count


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 7, 32])
def test_answers_do_not_depend_on_the_batch(bundle, batch):
    alone = [Classifier(bundle, batch=1).classify(one) for one in pictures(7)]
    assert Classifier(bundle, batch=batch).predict(pictures(7)) == alone
    assert len({answer[0].score for answer in alone}) > 1


def test_last_batch_is_what_is_left_and_the_next_call_begins_anew(bundle):
    classifier = Classifier(bundle, batch=4)
    first = classifier.predict(pictures(6))
    assert classifier.predict(pictures(6)) == first
    assert len(first) == 6


def test_unreadable_picture_loses_no_other_and_keeps_the_order(bundle, tmp_path):
    good = list(pictures(5))
    given = [good[0], b"no picture", good[1], good[2], tmp_path / "none.jpg", *good[3:]]
    answers = list(Classifier(bundle, batch=4).stream(given))
    assert [picture for picture, _ in answers] == given
    failed = [isinstance(answer, PictureError) for _, answer in answers]
    assert failed == [False, True, False, False, True, False, False]
    kept = [answer for _, answer in answers if not isinstance(answer, PictureError)]
    assert kept == Classifier(bundle, batch=1).predict(good)


def test_batch_without_any_readable_picture_is_answered(bundle):
    answers = list(Classifier(bundle, batch=4).stream([b"a", b"b", b"c", b"d", b"e"]))
    assert len(answers) == 5
    assert all(isinstance(answer, PictureError) for _, answer in answers)


def test_predict_raises_for_an_unreadable_picture(bundle):
    with pytest.raises(PictureError):
        Classifier(bundle, batch=4).predict([*pictures(3), b"no picture"])


def test_nothing_gives_nothing(bundle):
    assert Classifier(bundle).predict([]) == []


def test_endless_stream_is_taken_two_batches_ahead_at_most(bundle):
    taken = itertools.count()

    def endless():
        one = next(pictures(1))
        while True:
            next(taken)
            yield one

    stream = Classifier(bundle, batch=4).stream(endless())
    answers = list(itertools.islice(stream, 10))
    assert len(answers) == 10
    assert next(taken) <= 10 + 2 * 4


def test_batch_of_one_takes_one_picture_ahead():
    taken = []
    batches = prepare_in_batches((taken.append(n) or n for n in range(9)), str, 1)
    assert next(batches) == [(0, "0")]
    assert taken == [0, 1]


def test_classifier_takes_what_the_bundle_says(bundle):
    assert Classifier(bundle).batch == 4
    assert Classifier(bundle, "float32").batch == 2
    assert Classifier(bundle, "dynamic_int8").batch == 1
    assert Classifier(bundle, batch=16).batch == 16


@pytest.mark.parametrize("batch", [0, -1, MAX_BATCH + 1, 2.0, True, "4"])
def test_impossible_batch_is_refused(bundle, batch):
    with pytest.raises(ContractError, match="batch must be 1 to 256"):
        Classifier(bundle, batch=batch)
    document = json.loads((bundle / "contract.json").read_text())
    document["variants"]["int8"]["batch"] = batch
    (bundle / "contract.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match="batch must be 1 to 256"):
        read_bundle(bundle)


def test_older_contract_without_a_batch_means_one(bundle):
    document = json.loads((bundle / "contract.json").read_text())
    del document["variants"]["int8"]["batch"]
    (bundle / "contract.json").write_text(json.dumps(document))
    assert Classifier(bundle).batch == 1


def test_network_of_a_fixed_number_of_pictures_says_so_and_still_runs(tiny_models):
    model = Model(tiny_models["int8"])
    one = make_input(model.input)
    before = model.invoke(one)
    with pytest.raises(ModelError):
        model.invoke(np.concatenate([one, one]))
    assert np.array_equal(model.invoke(one), before)


def test_folder_is_classified_in_batches_with_the_answers_of_single_ones(
    bundle, capsys
):
    arguments = ["--folder", str(bundle), "--json", str(bundle / "golden")]
    assert main([*arguments, "--batch", "1"]) == 0
    alone = capsys.readouterr().out
    assert main(arguments) == 0
    assert capsys.readouterr().out == alone
    assert alone.count("\n") == 4


def test_batch_flag_takes_possible_numbers_only(bundle, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--folder", str(bundle), "--batch", "257", "x.jpg"])
    assert stopped.value.code == 2
    assert "1 to 256" in capsys.readouterr().err
