"""tflite-runtime 2.14, in the environment of its own that it needs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from registries import ask_pip

import edgedeploy.ondevice
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.runtime import Model

REQUIREMENTS = ("numpy<2", "pillow", "tflite-runtime==2.14.0")
CONTRACT = ImagePipeline(width=32, height=32)

SCRIPT = """
import json, sys
import numpy as np
from ondevice.contract import ImagePipeline
from ondevice.installed import available_runtimes
from ondevice.runtime import Model

found = {"numpy": np.__version__, "available": available_runtimes()}
rgb = np.load(sys.argv[1])
contract = ImagePipeline(width=32, height=32)
for path in sys.argv[2:]:
    model = Model(path)
    found[path] = {
        "runtime": model.runtime,
        "dtype": model.output.dtype,
        "raw": [model.invoke(model.tensor(p[None], contract))[0].tolist() for p in rgb],
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment with tflite-runtime and nothing of ours."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip(
            "tflite-runtime 2.14 is tried with Python 3.11, which its extra names; "
            f"this is {sys.version_info[0]}.{sys.version_info[1]}. Run with 3.11"
        )
    folder = tmp_path_factory.mktemp("tflite") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    ask_pip(python, "install", "-q", "--no-input", *REQUIREMENTS)
    return python


@pytest.mark.network
@pytest.mark.slow
def test_tflite_runtime_agrees_with_litert(environment, tiny_models, tmp_path):
    source = Path(edgedeploy.ondevice.__file__).parent
    shutil.copytree(source, tmp_path / "ondevice")
    rgb = np.random.default_rng(8).integers(0, 256, (6, 4, 4, 3), np.uint8)
    rgb = rgb.repeat(8, axis=1).repeat(8, axis=2)
    np.save(tmp_path / "rgb.npy", rgb)
    models = [str(tiny_models[recipe]) for recipe in ("float32", "int8")]
    done = subprocess.run(
        [str(environment), "-c", SCRIPT, "rgb.npy", *models],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["numpy"].startswith("1.")
    assert found["available"] == ["tflite-runtime"]
    for path, tolerance in zip(models, (1e-5, 1), strict=True):
        assert found[path]["runtime"] == "tflite-runtime"
        model = Model(path, runtime="litert")
        expected = [model.invoke(model.tensor(p[None], CONTRACT))[0] for p in rgb]
        assert found[path]["dtype"] == model.output.dtype
        apart = np.abs(np.array(found[path]["raw"]) - np.array(expected, np.float64))
        assert apart.max() <= tolerance
        # The pictures are told apart by far more than the runtimes are.
        assert np.ptp(np.array(expected, np.float64), axis=0).max() > 10 * tolerance


@pytest.mark.network
@pytest.mark.slow
def test_numpy_2_beside_it_is_refused_in_a_line(environment, tiny_models, tmp_path):
    source = Path(edgedeploy.ondevice.__file__).parent
    shutil.copytree(source, tmp_path / "ondevice")
    # A folder of its own, so that the environment stays what it is.
    words = ("install", "-q", "--no-input", "--no-deps", "--target", tmp_path)
    ask_pip(environment, *words, "numpy>=2,<2.3")
    code = (
        "from ondevice.installed import RuntimeUnavailable\n"
        "from ondevice.runtime import Model\n"
        "import sys\n"
        "try:\n"
        "    Model(sys.argv[1])\n"
        "except RuntimeUnavailable as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [str(environment), "-c", code, str(tiny_models["float32"])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("tflite-runtime needs numpy<2; found numpy 2.")
    assert done.stdout.count("\n") == 1
