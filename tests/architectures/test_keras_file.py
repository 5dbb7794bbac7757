"""A user's own .keras file: read, or refused without running what is in it."""

import zipfile

import numpy as np
import pytest

from edgedeploy.architectures import build, keras_file
from edgedeploy.errors import InputError, WeightsError


@pytest.fixture(scope="module")
def network():
    import keras

    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Flatten()(image)
    return keras.Model(image, keras.layers.Dense(4, activation="softmax")(x))


@pytest.fixture
def saved(network, tmp_path):
    network.save(tmp_path / "net.keras")
    return tmp_path / "net.keras"


def test_network_comes_back_with_its_weights(network, saved):
    image = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("f4")
    loaded = build("keras_file", saved, "keras")
    np.testing.assert_array_equal(
        loaded.predict(image, verbose=0), network.predict(image, verbose=0)
    )


def test_other_layout_is_bad_input(saved):
    with pytest.raises(InputError, match="no weights layout 'pth'"):
        build("keras_file", saved, "pth")


def save_lambda(path, marker):
    """A network whose loading would write a file, were its code run."""
    import keras

    image = keras.Input((8, 8, 3))
    code = f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]"
    x = keras.layers.Lambda(eval(code))(image)
    x = keras.layers.Flatten()(x)
    keras.Model(image, keras.layers.Dense(2)(x)).save(path)
    # Building the network ran the function; what counts is loading it.
    marker.unlink()


def test_code_in_a_keras_file_is_refused_and_not_run(tmp_path):
    import keras

    marker = tmp_path / "ran"
    save_lambda(tmp_path / "evil.keras", marker)
    with pytest.raises(WeightsError, match="safe mode"):
        build("keras_file", tmp_path / "evil.keras", "keras")
    assert not marker.exists()
    # The file does bite where nothing holds it back.
    keras.saving.load_model(tmp_path / "evil.keras", safe_mode=False)
    assert marker.exists()


@pytest.mark.parametrize("name", ["evil.h5", "evil.keras"])
def test_hdf5_is_refused_as_keras_under_any_name(tmp_path, name):
    marker = tmp_path / "ran"
    save_lambda(tmp_path / "evil.h5", marker)
    (tmp_path / "evil.h5").rename(tmp_path / name)
    with pytest.raises(WeightsError, match=r"\.keras"):
        build("keras_file", tmp_path / name, "keras")
    assert not marker.exists()


def test_code_runs_only_for_who_trusts_it(tmp_path):
    marker = tmp_path / "ran"
    save_lambda(tmp_path / "evil.keras", marker)
    with pytest.raises(WeightsError, match="--trust lets its code run"):
        build("keras_file", tmp_path / "evil.keras", "keras")
    build("keras_file", tmp_path / "evil.keras", "keras+trusted")
    assert marker.exists()


def test_code_in_an_h5_file_is_refused_and_not_run(tmp_path):
    marker = tmp_path / "ran"
    save_lambda(tmp_path / "evil.h5", marker)
    with pytest.raises(WeightsError, match="carries Python code"):
        build("keras_file", tmp_path / "evil.h5", "h5")
    assert not marker.exists()


def test_h5_network_comes_back_with_its_weights(network, tmp_path):
    network.save(tmp_path / "net.h5")
    image = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("f4")
    loaded = build("keras_file", tmp_path / "net.h5", "h5")
    np.testing.assert_allclose(
        loaded.predict(image, verbose=0), network.predict(image, verbose=0), atol=1e-6
    )


def test_h5_of_weights_alone_is_refused_with_the_way(network, tmp_path):
    network.save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(WeightsError, match="weights without their network"):
        build("keras_file", tmp_path / "net.weights.h5", "h5")


def change_config(path, change):
    import h5py

    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = change(file.attrs["model_config"])


def test_h5_that_only_keras_2_reads_names_the_way(network, tmp_path):
    path = tmp_path / "net.h5"
    network.save(path)
    change_config(path, lambda text: text.replace('"Flatten"', '"TFOpLambda"'))
    with pytest.raises(WeightsError, match="only Keras 2 can rebuild"):
        build("keras_file", path, "h5")


@pytest.mark.parametrize("change", [lambda text: text[:50], lambda _: b"\xff\xfe"])
def test_h5_with_a_damaged_description_is_an_error(network, tmp_path, change):
    path = tmp_path / "net.h5"
    network.save(path)
    change_config(path, change)
    with pytest.raises(WeightsError, match="no JSON"):
        build("keras_file", path, "h5")


def test_h5_with_weights_elsewhere_is_an_error(network, tmp_path):
    import h5py

    path = tmp_path / "net.h5"
    network.save(path)
    with h5py.File(path, "r+") as file:
        file["model_weights"]["more"] = h5py.ExternalLink("other.h5", "/weights")
    with pytest.raises(WeightsError, match="link to elsewhere"):
        build("keras_file", path, "h5")


def change_weights(saved, change):
    """Rewrite the numbers inside an archive."""
    import h5py

    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    numbers = saved.with_name("numbers.h5")
    numbers.write_bytes(members["model.weights.h5"])
    with h5py.File(numbers, "r+") as file:
        change(file)
    members["model.weights.h5"] = numbers.read_bytes()
    with zipfile.ZipFile(saved, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("kind", ["link", "dataset"])
def test_weights_that_are_elsewhere_are_refused_inside_an_archive_too(saved, kind):
    import h5py

    def change(file):
        if kind == "link":
            file["more"] = h5py.ExternalLink("other.h5", "/weights")
        else:
            file.create_dataset("more", (4,), "u1", external=[("/etc/hostname", 0, 4)])

    change_weights(saved, change)
    with pytest.raises(WeightsError, match="elsewhere"):
        build("keras_file", saved, "keras")


def test_weights_that_only_claim_to_be_huge_are_refused(saved):
    change_weights(saved, lambda file: file.create_dataset("more", (2**33,), "u1"))
    with pytest.raises(WeightsError, match="over the limit"):
        build("keras_file", saved, "keras")


@pytest.mark.parametrize(("name", "layout"), [("A.KERAS", "keras"), ("A.H5", "h5")])
def test_suffix_in_capitals_is_taken(network, tmp_path, name, layout):
    path = tmp_path / f"a.{layout}"
    network.save(path)
    path = path.rename(tmp_path / name)
    assert build("keras_file", path, layout).count_params() == network.count_params()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_h5_is_an_error(network, tmp_path, share):
    path = tmp_path / "net.h5"
    network.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match="not a readable"):
        build("keras_file", path, "h5")


def test_unpacked_archive_is_refused(saved, tmp_path):
    folder = tmp_path / "folder.keras"
    with zipfile.ZipFile(saved) as archive:
        archive.extractall(folder)
    with pytest.raises(WeightsError, match=r"not a \.keras file"):
        build("keras_file", folder, "keras")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_file_is_an_error(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=str(saved)):
        build("keras_file", saved, "keras")


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="No such file"):
        build("keras_file", tmp_path / "gone.keras", "keras")


def test_archive_without_a_network_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    with pytest.raises(WeightsError, match="cannot load it"):
        build("keras_file", tmp_path / "empty.keras", "keras")


def test_archive_that_unpacks_to_too_much_is_refused(saved, monkeypatch):
    with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(3_000_000))
    assert saved.stat().st_size < 1_000_000
    monkeypatch.setattr(keras_file, "MAX_BYTES", 2_000_000)
    with pytest.raises(WeightsError, match="over the limit of 2000000"):
        build("keras_file", saved, "keras")


def test_two_inputs_are_an_error(tmp_path):
    import keras

    first, second = keras.Input((4,)), keras.Input((4,))
    both = keras.layers.Concatenate()([first, second])
    keras.Model([first, second], both).save(tmp_path / "two.keras")
    with pytest.raises(WeightsError, match="found 2 and 1"):
        build("keras_file", tmp_path / "two.keras", "keras")
