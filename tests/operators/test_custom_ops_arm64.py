"""The operator in LiteRT on an emulated 64-bit Arm, against NumPy on this machine."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import edgedeploy.ondevice
from edgedeploy.devices.emulated.arm_root import prepare_root
from edgedeploy.devices.emulated.cpus import cpu_named
from edgedeploy.devices.emulated.qemu import find_qemu
from edgedeploy.devices.emulated.runner import prefix
from edgedeploy.devices.emulated.unavailable import Unavailable
from edgedeploy.devices.emulated.unpacked import unpack_wheels
from edgedeploy.devices.processes import Job, run
from edgedeploy.operators import Fusion, fuse_layer
from edgedeploy.targets.raspberry_pi.wheelhouse import resolve
from edgedeploy.workspace import cache_folder

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1800)]

SHAPE, K = (2, 8, 9, 33), 5
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from ondevice.custom_ops import CompiledModel
from ondevice.runtime import Model
from ondevice.tensors import ModelError
library, jobs = sys.argv[1], json.loads(sys.argv[2])
for model, values, answers in jobs:
    try:
        Model(model)
    except ModelError as error:
        assert "EdgedeployTopKPooling, which is not registered" in str(error), error
    else:
        raise SystemExit("a missing operator was not noticed")
    with CompiledModel(Path(model), [Path(library)]) as compiled:
        np.save(answers, np.stack([compiled.invoke(one) for one in np.load(values)]))
"""


@pytest.mark.parametrize("processor", ["cortex-a72", "cortex-a76"])
def test_operator_gives_numpys_bits_on_arm(
    lasting_cache, pooling, compiled, tmp_path, processor
):
    library = compiled("linux-aarch64").path
    try:
        qemu, root = find_qemu(), prepare_root("bookworm")
    except Unavailable as error:
        pytest.skip(f"cannot emulate Arm here: {error}")
    house = resolve("3.11", "aarch64", cache=cache_folder(), locked=None, offline=False)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for wheel in house.files:
        shutil.copyfile(wheel.path, wheels / wheel.filename)
    unpack_wheels(tmp_path, tmp_path / "site")
    package = Path(edgedeploy.ondevice.__file__).parent
    shutil.copytree(package, tmp_path / "site" / "ondevice")
    (tmp_path / "program.py").write_text(PROGRAM)
    jobs, expected = [], []
    for name in ("FLOAT32", "INT8", "UINT8"):
        dtype = getattr(pooling, name)
        fusion = Fusion(layer=pooling.LAYER, name=pooling.NAME, options=(K,))
        model = tmp_path / f"{name}.tflite"
        model.write_bytes(fuse_layer(pooling.pooling_model(SHAPE, K, dtype), fusion))
        values = [pooling.random_values(SHAPE, dtype, seed) for seed in range(4)]
        np.save(tmp_path / f"{name}.npy", np.stack(values))
        answer = pooling.pool if name == "FLOAT32" else pooling.pool_quantised
        expected.append(np.stack([answer(one, K) for one in values]))
        jobs.append(
            [str(model), str(tmp_path / f"{name}.npy"), str(tmp_path / f"{name}-a.npy")]
        )
    with prefix(root, qemu, cpu_named(processor)) as view:
        ended = run(
            Job(
                command=view.command(
                    f"/usr/bin/python{root.python}",
                    *("-P", "-B", str(tmp_path / "program.py")),
                    *(str(library), json.dumps(jobs)),
                ),
                what="the operator on Arm",
                timeout_s=900,
                environment={
                    "PATH": "/usr/bin:/bin",
                    "LC_ALL": "C.UTF-8",
                    "PYTHONNOUSERSITE": "1",
                    "PYTHONPATH": str(tmp_path / "site"),
                },
                folder=tmp_path,
            )
        )
    assert ended.code == 0, ended.text
    for (_, _, answers), wanted in zip(jobs, expected, strict=True):
        assert np.array_equal(np.load(answers), wanted)
