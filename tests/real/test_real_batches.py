"""Batches of the catalogue's networks answer as single pictures do."""

import numpy as np
import pytest
import real_weights as real

from edgedeploy.catalog import model_specs
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.ondevice.runtime import Model

pytestmark = [pytest.mark.real, pytest.mark.network, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("name", "weights", "recipe", "tolerance"),
    [
        ("efficientnet_lite0", "imagenet", "int8", 0.0),
        pytest.param(
            *("efficientnet_lite0", "imagenet", "float32", 1e-6),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("efficientnet_lite0", "imagenet", "dynamic_int8", 1e-6),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("inception_v3", "content-safety", "int8", 0.0), marks=pytest.mark.slow
        ),
        pytest.param(
            *("inception_v3", "content-safety", "float32", 1e-6),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("inception_v3", "content-safety", "dynamic_int8", 1e-6),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_batch_answers_as_single_pictures(name, weights, recipe, tolerance):
    spec = next(spec for spec in model_specs(name) if spec.weights == weights)
    pictures = real.samples(spec, "evaluation")[:7]
    model = Model(real.converted(spec, recipe))
    rgb = np.stack([prepare(picture.path, spec.pipeline) for picture in pictures])
    values = model.tensor(rgb, spec.pipeline)
    alone = np.concatenate([model.invoke(one[None]) for one in values])
    # Four at once, then what is left.
    together = np.concatenate([model.invoke(values[:4]), model.invoke(values[4:])])
    difference = np.abs(together.astype(np.float64) - alone.astype(np.float64)).max()
    assert difference <= tolerance
    # Many of content safety's answers are 255 and zeros; not all of them may be.
    assert len(np.unique(alone, axis=0)) > 1
