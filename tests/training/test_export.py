"""What an exported file promises: its operators, its signatures, its state."""

import subprocess
import sys

import numpy as np
import pytest

from edgedeploy.errors import TrainingError
from edgedeploy.formats.tflite import summarize
from edgedeploy.training.export import export_trainable

RATE = np.array([0.01], np.float32)


@pytest.fixture(scope="module")
def exported(nets):
    return export_trainable(nets.lenet(), optimizer="adam", batch_size=16)


def test_file_needs_neither_flex_nor_custom_operators(exported):
    summary = summarize(exported.data)
    assert summary.flex_ops == ()
    assert summary.custom_ops == ()


def test_initial_weights_are_in_the_file(exported, nets, gradients):
    operators = {op.name for op in summarize(exported.data).operators}
    assert "CALL_ONCE" in operators
    first = gradients.open_model(exported.data)["save"]()["w0"]
    assert first.shape == (3, 3, 1, 32)
    assert np.abs(first).max() > 0.01


def test_signatures_have_the_documented_names(exported):
    signatures = {s.key: s for s in summarize(exported.data).signatures}
    assert set(signatures["train"].inputs) == {"x", "y", "lr"}
    assert signatures["train"].outputs == ("loss",)
    assert signatures["infer"].outputs == ("output",)
    assert set(signatures["save"].outputs) == set(signatures["restore"].inputs)
    assert {"w0", "w7", "s0_0", "s1_7", "t"} <= set(signatures["save"].outputs)
    assert "init" in signatures
    assert "evaluate" in signatures


def test_zeros_of_the_optimizer_take_no_room(exported, nets):
    plain = export_trainable(nets.lenet(), optimizer="sgd", batch_size=16)
    weights = 4 * 595_062
    assert len(plain.data) < weights + 300_000
    assert len(exported.data) < len(plain.data) + 100_000


def test_same_model_gives_the_same_bytes(exported, nets):
    from keras import models

    model = nets.mobile()
    first = export_trainable(model, batch_size=4).data
    assert export_trainable(models.clone_model(model), batch_size=4).data != first
    assert export_trainable(model, batch_size=4).data == first


@pytest.mark.parametrize("net", ["lenet", "mobile", "branched", "relu_after_pool"])
def test_infer_answers_as_keras_for_any_batch(net, nets, gradients):
    model = getattr(nets, net)()
    infer = gradients.open_model(export_trainable(model, batch_size=4).data)["infer"]
    for rows in (1, 7):
        x = nets.numbers((rows, *model.input_shape[1:]))
        expected = np.asarray(model(x, training=False))
        np.testing.assert_allclose(infer(x=x)["output"], expected, atol=2e-6)


def test_evaluate_counts_right_answers_and_skips_padding(exported, nets, gradients):
    signatures = gradients.open_model(exported.data)
    x = nets.numbers((16, 28, 28, 1))
    answers = signatures["infer"](x=x)["output"]
    y = np.eye(10, dtype=np.float32)[answers.argmax(-1)]
    y[3] = np.roll(y[3], 1)
    y[10:] = 0.0
    found = signatures["evaluate"](x=x, y=y)
    assert found["count"][0] == 10
    assert found["correct"][0] == 9
    expected = -np.mean([np.log(answers[i] @ y[i]) for i in range(10)])
    assert found["loss"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_ten_steps_are_those_of_keras(optimizer, nets, gradients):
    import keras

    model = nets.branched()
    exported = export_trainable(model, optimizer=optimizer, batch_size=8)
    rules = {
        "sgd": keras.optimizers.SGD(0.01),
        "momentum": keras.optimizers.SGD(0.01, momentum=0.9),
        "adam": keras.optimizers.Adam(0.01),
    }
    model.compile(rules[optimizer], "categorical_crossentropy", run_eagerly=True)
    train = gradients.open_model(exported.data)["train"]
    for step in range(10):
        x, y = nets.numbers((8, 15, 13, 2), step), nets.labels(8, 4, step)
        ours = train(x=x, y=y, lr=RATE)["loss"][0]
        theirs = model.train_on_batch(x, y)
        assert ours == pytest.approx(float(np.ravel(theirs)[0]), rel=1e-3)


def test_moving_statistics_are_those_of_keras(nets, gradients):
    model = nets.mobile()
    exported = export_trainable(model, optimizer="sgd", batch_size=8)
    signatures = gradients.open_model(exported.data)
    x, y = nets.numbers((8, 20, 18, 3)), nets.labels(8, 6)
    signatures["train"](x=x, y=y, lr=RATE)
    model(x, training=True)
    state = signatures["save"]()
    expected = {
        "/".join(v.path.split("/")[-2:]): np.asarray(v)
        for v in model.non_trainable_variables
    }
    moved = {key: state[short] for short, key in exported.weights if short[0] == "b"}
    assert sorted(moved) == sorted(k for k in expected if "seed" not in k)
    for key, value in moved.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-4, atol=1e-6)


_RESUME = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
file = Interpreter(model_path=sys.argv[1], num_threads=1)
with np.load(sys.argv[2]) as state:
    file.get_signature_runner("restore")(**state)
train = file.get_signature_runner("train")
with np.load(sys.argv[3]) as data:
    x, y = data["x"], data["y"]
rate = np.array([0.01], np.float32)
print([float(train(x=x, y=y, lr=rate)["loss"][0]) for _ in range(3)])
"""


def test_losses_go_on_exactly_in_a_new_process(nets, gradients, tmp_path):
    from keras import Input, Sequential, layers

    model = Sequential(
        [
            Input((8, 8, 1)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Dropout(0.4),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    data = export_trainable(model, optimizer="adam", batch_size=4).data
    (tmp_path / "model.tflite").write_bytes(data)
    x, y = nets.numbers((4, 8, 8, 1)), nets.labels(4, 3)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    signatures = gradients.open_model(data)
    for _ in range(4):
        signatures["train"](x=x, y=y, lr=RATE)
    np.savez(tmp_path / "state.npz", **signatures["save"]())
    expected = [
        float(signatures["train"](x=x, y=y, lr=RATE)["loss"][0]) for _ in range(3)
    ]
    files = [str(tmp_path / n) for n in ("model.tflite", "state.npz", "data.npz")]
    answer = subprocess.run(
        [sys.executable, "-c", _RESUME, *files], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == str(expected)


def test_init_brings_the_first_weights_back(exported, nets, gradients):
    signatures = gradients.open_model(exported.data)
    before = signatures["save"]()
    x, y = nets.numbers((16, 28, 28, 1)), nets.labels(16, 10)
    signatures["train"](x=x, y=y, lr=RATE)
    assert np.any(signatures["save"]()["w0"] != before["w0"])
    signatures["init"]()
    after = signatures["save"]()
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_dropout_keeps_its_share_and_never_repeats(nets, gradients):
    from keras import Input, Sequential, layers

    model = Sequential(
        [Input((300,)), layers.Dropout(0.25), layers.Dense(300, use_bias=False)]
    )
    model.layers[-1].set_weights([np.zeros((300, 300))])
    exported = export_trainable(model, loss="mse", optimizer="sgd", batch_size=300)
    signatures = gradients.open_model(exported.data)
    # Row i has its target in column i alone, so dW[j, i] shows mask[i, j].
    x, y = np.ones((300, 300), np.float32), np.eye(300, dtype=np.float32)
    masks = []
    for _ in range(4):
        before = signatures["save"]()["w0"]
        signatures["train"](x=x, y=y, lr=np.full(1, 1e-4, np.float32))
        masks.append((signatures["save"]()["w0"] - before) > 0.0)
    for mask in masks:
        # 90,000 draws: four standard deviations are 0.006.
        assert abs(mask.mean() - 0.75) < 0.006
        # Rows and columns too keep their share: 300 draws, 0.1 is four deviations.
        assert np.abs(mask.mean(0) - 0.75).max() < 0.12
        assert np.abs(mask.mean(1) - 0.75).max() < 0.12
    for other in masks[1:]:
        # Independent masks agree in 0.75² + 0.25² of the places.
        assert abs((masks[0] == other).mean() - 0.625) < 0.01


def test_an_unknown_layer_is_named_with_the_nearest_cut():
    from keras import Input, Sequential, layers

    model = Sequential(
        [
            Input((8, 8, 2)),
            layers.Conv2D(4, 3),
            layers.LayerNormalization(name="odd_one"),
            layers.Conv2D(4, 3),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    with pytest.raises(TrainingError, match=r"odd_one: .*trainable_last=2"):
        export_trainable(model)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "hinge"}, "loss must be"),
        ({"optimizer": "lion"}, "optimizer must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"epochs": 0}, "epochs must be"),
        ({"trainable_last": 9}, "only 4 layers"),
        ({"trainable_last": 0}, "from 1"),
        ({"trainable_last": "last"}, "from 1"),
    ],
)
def test_values_without_sense_are_refused(options, words, nets):
    with pytest.raises(TrainingError, match=words):
        export_trainable(nets.lenet(), **options)


def test_crossentropy_without_softmax_is_refused(nets):
    from keras import Input, Sequential, layers

    model = Sequential([Input((4,)), layers.Dense(3)])
    with pytest.raises(TrainingError, match="ends with softmax"):
        export_trainable(model)


def test_state_can_be_saved_where_signatures_must_take_something(gradients, exported):
    from ai_edge_litert.interpreter import Interpreter

    signatures = gradients.open_model(exported.data)
    other = Interpreter(model_content=exported.data)
    ignored = np.zeros(1, np.float32)
    saved = other.get_signature_runner("java_save")(ignored=ignored)
    expected = signatures["save"]()
    assert saved.keys() == expected.keys()
    assert all(np.array_equal(saved[name], expected[name]) for name in saved)
    assert other.get_signature_runner("java_init")(ignored=ignored)["ok"][0] == 1.0
