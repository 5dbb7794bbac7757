import numpy as np
import pytest

from edgedeploy.architectures.legacy_h5 import load_in_layer_order
from edgedeploy.errors import WeightsError

h5py = pytest.importorskip("h5py", reason="h5py is missing; 'pip install h5py'")


def write_legacy_h5(path, layers, root=""):
    """Write weights as Keras 2 did: groups, with names in attributes."""
    with h5py.File(path, "w") as file:
        top = file.create_group(root) if root else file
        top.attrs["layer_names"] = [name.encode() for name, _ in layers]
        for name, arrays in layers:
            group = top.create_group(name)
            keys = [f"{name}/w{at}:0" for at in range(len(arrays))]
            group.attrs["weight_names"] = [key.encode() for key in keys]
            for key, array in zip(keys, arrays, strict=True):
                group.create_dataset(key, data=array)


def list_weights(model):
    # The published file has entries for layers without weights too.
    return [(f"l{at}", layer.get_weights()) for at, layer in enumerate(model.layers)]


@pytest.fixture(scope="module")
def small():
    """Give a seeded network that has weights of all the shapes that matter."""
    import keras

    keras.utils.set_random_seed(4)
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    x = keras.layers.BatchNormalization(scale=False)(x)
    x = keras.layers.Flatten()(keras.layers.Activation("relu")(x))
    return keras.Model(image, keras.layers.Dense(5, activation="softmax")(x))


def scramble(model):
    rng = np.random.default_rng(9)
    for layer in model.layers:
        shapes = [array.shape for array in layer.get_weights()]
        layer.set_weights([rng.uniform(0.1, 1, shape) for shape in shapes])


@pytest.mark.parametrize("root", ["", "model_weights"])
def test_weights_are_loaded_by_order(small, tmp_path, root):
    before = list_weights(small)
    write_legacy_h5(tmp_path / "w.bin", before, root)
    scramble(small)
    load_in_layer_order(small, tmp_path / "w.bin")
    for (_, wanted), (_, got) in zip(before, list_weights(small), strict=True):
        for one, other in zip(wanted, got, strict=True):
            np.testing.assert_array_equal(one, other)


def test_other_shapes_are_refused_before_anything_is_loaded(small, tmp_path):
    weights = list_weights(small)
    weights[-1][1][0] = weights[-1][1][0][:, :4]
    write_legacy_h5(tmp_path / "w.h5", weights)
    before = [array.copy() for _, arrays in list_weights(small) for array in arrays]
    with pytest.raises(WeightsError, match=rf"layer {weights[-1][0]} should have"):
        load_in_layer_order(small, tmp_path / "w.h5")
    after = [array for _, arrays in list_weights(small) for array in arrays]
    assert all(map(np.array_equal, before, after))


def test_other_number_of_layers_is_refused(small, tmp_path):
    write_legacy_h5(tmp_path / "w.h5", list_weights(small)[:-1])
    with pytest.raises(WeightsError, match="for 2 layers"):
        load_in_layer_order(small, tmp_path / "w.h5")


def test_truncated_h5_is_a_weights_error(small, tmp_path):
    write_legacy_h5(tmp_path / "w.h5", list_weights(small))
    whole = (tmp_path / "w.h5").read_bytes()
    for cut in range(0, len(whole), 97):
        (tmp_path / "w.h5").write_bytes(whole[:cut])
        with pytest.raises(WeightsError):
            load_in_layer_order(small, tmp_path / "w.h5")


@pytest.mark.parametrize("trick", ["packed", "claimed", "text", "nameless", "folder"])
def test_h5_with_tricks_is_a_weights_error(small, tmp_path, trick):
    path = tmp_path / "w.h5"
    if trick == "folder":
        path.mkdir()
    else:
        write_legacy_h5(path, list_weights(small))
        with h5py.File(path, "a") as file:
            del file["l1/l1/w0:0"]
            group = file["l1/l1"]
            if trick == "packed":
                group.create_dataset("w0:0", data=np.ones((3, 3, 3, 4)), compression=9)
            elif trick == "claimed":
                # A terabyte that takes no space in the file.
                group.create_dataset("w0:0", (1 << 38,), "f4", chunks=(1 << 20,))
            elif trick == "text":
                group["w0:0"] = "no numbers"
            else:
                del file.attrs["layer_names"]
    with pytest.raises(WeightsError):
        load_in_layer_order(small, path)
