import functools
import importlib

import numpy as np
import pytest

from edgedeploy.errors import IsolatedError
from edgedeploy.isolate import run_isolated
from edgedeploy.ondevice import installed
from edgedeploy.ondevice.contract import ImagePipeline, normalise, quantise
from edgedeploy.ondevice.installed import (
    RuntimeUnavailable,
    available_runtimes,
    resolve_runtime,
    runtime_identity,
    runtime_version,
)
from edgedeploy.ondevice.runtime import Model, top_k
from edgedeploy.ondevice.tensors import ModelError

CONTRACT = ImagePipeline(width=32, height=32)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Smooth pictures of different colours."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    return np.stack(
        [
            np.asarray(
                Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize(
                    (32, 32)
                )
            )
            for _ in range(count)
        ]
    )


@functools.cache
def convert(kind: str) -> bytes:
    """Convert a network of a few operators."""
    import tensorflow as tf

    functions = {
        "open": lambda x: tf.reduce_mean(x, axis=[1, 2]) * [1.0, 2.0, 4.0],
        "two": lambda x: (x, x + 1.0),
        "sum": tf.reduce_sum,
        "integers": lambda x: x + 1,
    }
    batch = None if kind in ("open", "integers") else 1
    dtype = tf.int32 if kind == "integers" else tf.float32
    signature = [tf.TensorSpec((batch, 2, 2, 3), dtype)]
    function = tf.function(functions[kind], input_signature=signature)
    module = tf.Module()
    module.f = function
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], module
    ).convert()


@pytest.fixture(params=["litert", "tensorflow"])
def name(request):
    if runtime_version(request.param) is None:
        pytest.skip(f"runtime {request.param} is missing; install edgedeploy anew")
    return request.param


# What a model is


def test_float_model_is_described(tiny_models, name):
    model = Model(tiny_models["float32"], runtime=name)
    assert model.runtime == name
    assert (model.input.shape, model.output.shape) == ((1, 32, 32, 3), (1, 7))
    assert (model.input.dtype, model.output.dtype) == ("float32", "float32")
    assert not model.input.quantised


def test_quantised_model_is_described(tiny_models, name):
    model = Model(tiny_models["int8"].read_bytes(), runtime=name)
    assert (model.input.dtype, model.output.dtype) == ("uint8", "uint8")
    assert model.input.quantised
    # The pictures that calibrated span 0 to 1; a softmax always has 1/256.
    assert model.input.scale == pytest.approx(1 / 255, rel=0.01)
    assert (model.output.scale, model.output.zero_point) == (1 / 256, 0)


def test_delegate_is_reported_as_it_is(tiny_models, name):
    assert Model(tiny_models["float32"], runtime=name).delegate == "XNNPACK"
    off = Model(tiny_models["float32"], runtime=name, xnnpack=False)
    assert off.delegate == "none"


# What it computes


@pytest.mark.parametrize("recipe", ["float32", "dynamic_int8", "int8"])
def test_scores_are_those_of_a_bare_interpreter(tiny_models, name, recipe):
    module = importlib.import_module("tensorflow.lite.python.interpreter")
    bare = module.Interpreter(str(tiny_models[recipe]), num_threads=1)
    bare.allocate_tensors()
    entry, out = bare.get_input_details()[0], bare.get_output_details()[0]
    rgb = pictures(1)
    values = rgb.astype(np.float32) / np.float32(255)
    if recipe == "int8":
        scale, zero = entry["quantization"]
        values = np.clip(np.round(values / scale) + zero, 0, 255).astype(np.uint8)
    bare.set_tensor(entry["index"], values)
    bare.invoke()
    expected = bare.get_tensor(out["index"]).astype(np.float32)
    if recipe == "int8":
        expected = expected / 256
    found = Model(tiny_models[recipe], runtime=name).scores(rgb, CONTRACT)
    assert found.dtype == np.float32
    # One step of the quantised output, where rounding of the input may fall apart.
    np.testing.assert_allclose(found, expected, atol=1.01 / 256)
    if recipe == "float32":
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_batch_is_computed_by_resizing_and_back(name):
    model = Model(convert("open"), runtime=name)
    assert model.input.shape == (1, 2, 2, 3)
    values = np.random.default_rng(1).random((5, 2, 2, 3), np.float32)
    expected = values.mean(axis=(1, 2)) * [1, 2, 4]
    for count in (5, 1, 3, 5):
        np.testing.assert_allclose(
            model.invoke(values[:count]), expected[:count], rtol=1e-5
        )


def test_network_that_cannot_be_resized_says_so_and_still_runs(tiny_models):
    # Its batch size of 1 is written into a reshape.
    model = Model(tiny_models["float32"])
    one = model.scores(pictures(1), CONTRACT)
    for _ in range(2):
        with pytest.raises(ModelError, match="LiteRT cannot run the model"):
            model.scores(pictures(2), CONTRACT)
        np.testing.assert_array_equal(model.scores(pictures(1), CONTRACT), one)


def test_output_is_a_copy(name):
    model = Model(convert("open"), runtime=name)
    first = model.invoke(np.ones((1, 2, 2, 3), np.float32))
    model.invoke(np.zeros((1, 2, 2, 3), np.float32))
    assert first.tolist() == [[1.0, 2.0, 4.0]]


def test_values_that_are_not_contiguous_are_taken(name):
    model = Model(convert("open"), runtime=name)
    values = (
        np.random.default_rng(1).random((3, 2, 2, 1), np.float32).transpose(3, 1, 2, 0)
    )
    np.testing.assert_allclose(
        model.invoke(values), values.mean(axis=(1, 2)) * [1, 2, 4], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (np.zeros((1, 32, 32, 3), np.float64), "takes float32; received float64"),
        (np.zeros((1, 32, 32, 3), np.uint8), "takes float32; received uint8"),
        (np.zeros((1, 3, 32, 32), np.float32), r"takes shape \(1, 32, 32, 3\)"),
        (np.zeros((32, 32, 3), np.float32), r"received \(32, 32, 3\)"),
        (np.zeros((0, 32, 32, 3), np.float32), r"received \(0, 32, 32, 3\)"),
        (np.float32(1), r"received \(\)"),
    ],
)
def test_values_that_do_not_fit_are_refused(tiny_models, values, complaint):
    with pytest.raises(ModelError, match=complaint):
        Model(tiny_models["float32"]).invoke(values)


def test_top_k_gives_ties_to_the_lower_index():
    assert top_k([0.1, 0.5, 0.5, 0.9], 3) == [3, 1, 2]
    assert top_k(np.zeros(4, np.float32), 2) == [0, 1]
    assert top_k([1.0], 5) == [0]


# What the quantize operator does


@pytest.mark.parametrize(
    ("mean", "std"), [(127.5, 127.5), (0.0, 255.0), (123.675, 58.395), (0.0, 1.0)]
)
def test_quantised_input_is_that_of_the_quantize_operator(mean, std):
    import tensorflow as tf

    contract = ImagePipeline(width=16, height=16, mean=(mean,) * 3, std=(std,) * 3)
    rgb = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=3)
    real = normalise(rgb, contract)
    network = tf.keras.Sequential(
        [tf.keras.layers.Input((16, 16, 3), batch_size=1), tf.keras.layers.Conv2D(2, 1)]
    )
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter([[real]])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    module = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = module.Interpreter(
        model_content=converter.convert(),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], real)
    interpreter.invoke()
    operator = interpreter._get_ops_details()[0]
    assert operator["op_name"] == "QUANTIZE"
    tensor = operator["outputs"][0]
    scale, zero_point = interpreter._get_tensor_details(tensor, 0)["quantization"]
    found = quantise(rgb, contract, dtype="int8", scale=scale, zero_point=zero_point)
    np.testing.assert_array_equal(found, interpreter.get_tensor(tensor))


# What is no model


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"TFL3", bytes(1000), b"\x1c\0\0\0TFL3" + bytes(200), b"PK\3\4" * 99],
    ids=["empty", "short", "magic", "zeros", "header", "zip"],
)
def test_garbage_is_a_model_error(tmp_path, name, content):
    (tmp_path / "x.tflite").write_bytes(content)
    for source, subject in ((content, "model"), (tmp_path / "x.tflite", "x.tflite")):
        with pytest.raises(ModelError, match=rf"{subject}: not a model that LiteRT"):
            Model(source, runtime=name)


def test_truncated_model_is_a_model_error(tiny_models):
    data = tiny_models["int8"].read_bytes()
    for end in range(0, len(data), len(data) // 40):
        with pytest.raises(ModelError):
            Model(data[:end])


LOADER = """
import base64, os
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.tensors import ModelError
import numpy as np


def load(*, progress, models):
    ends = []
    for model in models:
        try:
            network = Model(base64.b64decode(model))
            network.invoke(np.zeros(network.input.shape, network.input.dtype))
            ends.append("runs")
        except ModelError:
            ends.append("refused")
    return ends
"""


def test_damaged_model_is_refused_or_runs_or_costs_one_child(
    tiny_models, tmp_path, monkeypatch
):
    """LiteRT does crash on some; then the child dies and nobody else."""
    import base64

    (tmp_path / "model_loader.py").write_text(LOADER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    data = tiny_models["int8"].read_bytes()
    waiting = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 4):
            damaged[at] = int(rng.integers(0, 256))
        waiting.append(base64.b64encode(damaged).decode())
    ends = []
    while waiting:
        batch, waiting = waiting[:15], waiting[15:]
        try:
            ends += run_isolated("model_loader:load", {"models": batch}, what="a model")
        except IsolatedError as error:
            if "the child died of SIG" not in str(error):
                raise
            ends += ["crashed"]
    assert ends.count("refused") >= 5
    assert ends.count("runs") >= 5


def test_missing_file_and_folder_are_model_errors(tmp_path):
    for path in (tmp_path / "nowhere.tflite", tmp_path):
        with pytest.raises(ModelError, match="no such model file"):
            Model(path)


def test_network_with_two_outputs_is_refused():
    with pytest.raises(ModelError, match="one input and one output; found 1 and 2"):
        Model(convert("two"))


def test_network_without_a_batch_is_refused():
    with pytest.raises(ModelError, match=r"need a batch dimension; .* and \(\)"):
        Model(convert("sum"))


def test_integers_without_a_scale_are_no_pictures():
    model = Model(convert("integers"))
    ones = np.ones((2, 2, 2, 3), np.int32)
    assert (model.invoke(ones) == 2).all()
    with pytest.raises(ModelError, match="takes int32; received float32"):
        model.scores(ones.astype(np.uint8), CONTRACT)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_are_at_least_one(tiny_models, threads):
    with pytest.raises(ModelError, match="threads must be at least 1; received"):
        Model(tiny_models["float32"], threads=threads)


# Which runtime


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put the record of an installed distribution, and a module, on the path."""

    def put(distribution: str, version: str, module: str = "", code: str = "") -> None:
        record = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        record.mkdir()
        text = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (record / "METADATA").write_text(text)
        if module:
            (tmp_path / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))

    return put


def test_default_is_litert():
    assert resolve_runtime("auto") == "litert"
    assert available_runtimes()[0] == "litert"


def test_identity_is_name_and_version(install, monkeypatch):
    install("other-rt", "4.5")
    monkeypatch.setitem(installed.RUNTIMES, "other", ("other.interpreter", "other-rt"))
    assert runtime_identity("other") == "other 4.5"


@pytest.mark.parametrize("name", ["", "LiteRT", "onnx", "tflite_runtime"])
def test_unknown_runtime_names_those_there_are(name):
    with pytest.raises(
        RuntimeUnavailable, match="must be auto, litert, tflite-runtime, tensorflow"
    ):
        resolve_runtime(name)


def test_missing_runtime_says_what_to_install(monkeypatch):
    monkeypatch.setitem(installed.RUNTIMES, "other", ("other.interpreter", "other-rt"))
    with pytest.raises(RuntimeUnavailable, match="not installed; pip install other-rt"):
        resolve_runtime("other")


def test_no_runtime_at_all_says_what_to_install(monkeypatch):
    monkeypatch.setattr(installed, "RUNTIMES", {"other": ("other", "other-rt")})
    with pytest.raises(RuntimeUnavailable, match="no LiteRT runtime is installed; pip"):
        resolve_runtime("auto")


def test_tflite_runtime_beside_numpy_2_is_refused_in_a_line(install, monkeypatch):
    install("tflite-runtime", "2.14.0")
    monkeypatch.setattr(np, "__version__", "2.1.0")
    with pytest.raises(
        RuntimeUnavailable,
        match=r"tflite-runtime needs numpy<2; found numpy 2\.1\.0\. ",
    ) as caught:
        resolve_runtime("tflite-runtime")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(np, "__version__", "1.26.4")
    assert resolve_runtime("tflite-runtime") == "tflite-runtime"


def test_tflite_runtime_alone_beside_numpy_2_is_refused_too(install, monkeypatch):
    install("tflite-runtime", "2.14.0")
    monkeypatch.setattr(np, "__version__", "2.1.0")
    # Not delitem: undoing it would put the entries back in another order.
    only = {"tflite-runtime": installed.RUNTIMES["tflite-runtime"]}
    monkeypatch.setattr(installed, "RUNTIMES", only)
    assert available_runtimes() == ("tflite-runtime",)
    with pytest.raises(RuntimeUnavailable, match="needs numpy<2"):
        resolve_runtime("auto")


@pytest.mark.parametrize(
    "code",
    [
        "raise ImportError('libstdc++.so.6: version not found\\nmore lines')",
        "raise OSError('cannot map')",
        "import no_such_module_of_anybody",
    ],
)
def test_runtime_that_does_not_load_is_one_line(
    install, monkeypatch, tiny_models, code
):
    install("broken-rt", "1.0", f"broken_rt_{abs(hash(code))}", code)
    module = f"broken_rt_{abs(hash(code))}"
    monkeypatch.setitem(installed.RUNTIMES, "broken", (module, "broken-rt"))
    with pytest.raises(
        RuntimeUnavailable, match=r"runtime broken is installed but does not load \("
    ) as caught:
        Model(tiny_models["float32"], runtime="broken")
    assert "\n" not in str(caught.value)
