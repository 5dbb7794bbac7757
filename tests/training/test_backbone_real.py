"""The catalogue's networks as frozen backbones in int8, with their own weights."""

import numpy as np
import pytest

from edgedeploy.architectures import build
from edgedeploy.catalog import model_specs
from edgedeploy.fetch import Unreachable, fetch
from edgedeploy.ondevice.contract import normalise
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.resources import resource_folder
from edgedeploy.training.backbone import export_backbone, split_backbone
from edgedeploy.training.export import export_trainable
from edgedeploy.workspace import cache_folder

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(1800)]


def _pictures(pipeline, role):
    folder = resource_folder("models") / "samples" / role
    paths = sorted(p for p in folder.rglob("*") if p.suffix in (".jpg", ".png"))
    rgb = np.stack([prepare(path, pipeline) for path in paths[:24]])
    return normalise(rgb, pipeline)


def _cosine(a, b):
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / norms


@pytest.mark.parametrize("model", ["efficientnet_lite0", "inception_v3"])
def test_features_survive_quantisation_and_a_head_learns_on_them(model, gradients):
    for spec in model_specs(model):
        try:
            fetched = fetch(spec.source, cache=cache_folder())
            break
        except Unreachable as error:
            reason = str(error)
    else:
        pytest.skip(f"no weights of {model}: {reason}")
    network = build(spec.architecture, fetched.path, spec.layout)
    backbone, head = split_backbone(network, trainable_last=1)
    calibration = _pictures(spec.pipeline, "calibration")
    data = export_backbone(backbone, representative=[x[None] for x in calibration])
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=data, num_threads=1).get_signature_runner(
        "features"
    )
    pictures = _pictures(spec.pipeline, "evaluation")
    features = np.concatenate([run(x=x[None])["features"] for x in pictures])
    exact = np.concatenate([np.asarray(backbone(x[None])) for x in pictures])
    cosine = _cosine(features, exact)
    print(f"{model}: {len(data)} bytes, cosine {cosine.min():.4f} {cosine.mean():.4f}")
    assert cosine.mean() > 0.95
    # Two classes that the network never had: a picture's row number, even or odd.
    exported = export_trainable(head, batch_size=len(features), spare_classes=2)
    train = gradients.open_model(exported.data)["train"]
    labels = exported.classes - 2 + np.arange(len(features)) % 2
    y = np.eye(exported.classes, dtype=np.float32)[labels]
    rate = np.array([0.01], np.float32)
    losses = [float(train(x=features, y=y, lr=rate)["loss"][0]) for _ in range(60)]
    print(f"{model}: loss {losses[0]:.3f} to {losses[-1]:.3f}")
    assert losses[-1] < losses[0] / 5
