"""A frozen backbone with features of its own, and a head that takes new classes."""

import numpy as np
import pytest

from edgedeploy.errors import TrainingError
from edgedeploy.formats.tflite import summarize
from edgedeploy.training.backbone import export_backbone, split_backbone
from edgedeploy.training.export import export_trainable


@pytest.fixture(scope="module")
def parts():
    from keras import Input, Sequential, layers, utils

    utils.set_random_seed(1)
    model = Sequential(
        [
            Input((12, 12, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.LayerNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )
    return model, *split_backbone(model, trainable_last=1)


def _features(data, x):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=data).get_signature_runner("features")
    return np.concatenate([run(x=row[None])["features"] for row in x])


def test_backbone_and_head_are_the_model(parts, nets, gradients):
    model, backbone, head = parts
    x = nets.numbers((4, 12, 12, 1))
    features = _features(export_backbone(backbone), x)
    infer = gradients.open_model(export_trainable(head, batch_size=4).data)["infer"]
    np.testing.assert_allclose(
        infer(x=features)["output"], np.asarray(model(x)), atol=1e-5
    )


def test_quantised_backbone_is_close_and_has_its_signature(parts, nets):
    _, backbone, _ = parts
    x = nets.numbers((20, 12, 12, 1))
    data = export_backbone(backbone, representative=[row[None] for row in x])
    summary = summarize(data)
    assert [s.key for s in summary.signatures] == ["features"]
    assert summary.flex_ops == ()
    assert dict(summary.weight_bytes)["int8"] > 0
    exact = np.asarray(backbone(x))
    assert np.abs(_features(data, x) - exact).max() < 0.1 * np.abs(exact).max()


def test_a_new_class_is_learnt_and_the_old_ones_stay(parts, nets, gradients):
    _, _, head = parts
    exported = export_trainable(head, optimizer="adam", batch_size=32, spare_classes=2)
    assert exported.classes == 5
    signatures = gradients.open_model(exported.data)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, head.input_shape[-1])).astype(np.float32) * 2
    labels = np.arange(32) % 4
    x = centres[labels] + rng.normal(0, 0.2, (32, centres.shape[1])).astype(np.float32)
    before = signatures["infer"](x=x)["output"]
    assert before[:, 3:].max() < before[:, :3].max(1).min()
    y = np.eye(5, dtype=np.float32)[labels]
    for _ in range(150):
        signatures["train"](x=x, y=y, lr=np.array([0.03], np.float32))
    after = signatures["infer"](x=x)["output"].argmax(1)
    assert (after == labels).mean() > 0.95
    assert 4 not in after


def test_cuts_without_sense_are_refused(parts):
    model, _, head = parts
    for count in (0, 2, 9):
        with pytest.raises(TrainingError, match="trainable_last must be"):
            split_backbone(model, trainable_last=count)
    with pytest.raises(TrainingError, match="spare_classes takes"):
        export_trainable(head, spare_classes=-1)


def test_a_cut_through_a_shortcut_is_refused():
    from keras import Input, Model, layers

    start = Input((6,))
    x = layers.Dense(6)(start)
    y = layers.Add()([layers.Dense(6)(x), start])
    model = Model(start, layers.Softmax()(y))
    with pytest.raises(TrainingError, match="would cross"):
        split_backbone(model, trainable_last=1)
