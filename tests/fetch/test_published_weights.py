"""The https path, whole: from a server with tricks to a network's outputs."""

import hashlib

import h5py
import numpy as np

from edgedeploy.architectures import build
from edgedeploy.fetch import fetch
from edgedeploy.specs import HttpsSource


def write_published_layout(path, model):
    """Write weights as Keras 2 did: a group a layer, with names in attributes."""
    with h5py.File(path, "w") as file:
        names = [layer.name for layer in model.layers]
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name, layer in zip(names, model.layers, strict=True):
            group = file.create_group(name)
            arrays = layer.get_weights()
            keys = [f"{name}/w{at}:0" for at in range(len(arrays))]
            group.attrs["weight_names"] = [key.encode() for key in keys]
            for key, array in zip(keys, arrays, strict=True):
                group.create_dataset(key, data=array)


def test_published_layout_of_inception_v3_goes_from_server_to_outputs(
    serve, tmp_path, monkeypatch
):
    import keras

    keras.utils.set_random_seed(11)
    original = keras.applications.InceptionV3(weights=None)
    rng = np.random.default_rng(2)
    for layer in original.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            beta, _, variance = layer.get_weights()
            shape = beta.shape
            layer.set_weights([
                rng.normal(0, 0.1, shape), rng.normal(0, 0.1, shape),
                rng.uniform(0.5, 1.5, shape) * variance,
            ])  # fmt: skip
    write_published_layout(tmp_path / "served.h5", original)
    content = (tmp_path / "served.h5").read_bytes()
    # Of the published file: 96 MB, most of it numbers.
    assert len(content) > 95_000_000
    base, tricks = serve(content)
    tricks.script = ["status:503", "truncate:30000000", "reset:60000000"]
    monkeypatch.setenv("EDGEDEPLOY_MIRROR_TEST", base)
    source = HttpsSource(
        url="https://publisher.example/inception_v3/weights.h5",
        filename="weights.h5",
        size_bytes=len(content),
        md5=hashlib.md5(content).hexdigest(),
        mirror_variable="EDGEDEPLOY_MIRROR_TEST",
    )
    got = fetch(source, cache=tmp_path / "cache")
    assert got.sha256 == hashlib.sha256(content).hexdigest()
    assert [request.get("Range") is not None for request in tricks.requests] == [
        False, False, True, True,
    ]  # fmt: skip

    model = build("inception_v3", got.path, "keras_h5")
    assert model.inputs[0].name == "image"
    assert model.output_names == ["probabilities"]
    assert model.output_shape == (None, 1000)
    image = rng.uniform(-1, 1, (1, 299, 299, 3)).astype("f4")
    wanted = original(image, training=False).numpy()
    assert np.ptp(wanted) > 0
    np.testing.assert_allclose(
        model(image, training=False).numpy(), wanted, rtol=1e-4, atol=1e-7
    )
