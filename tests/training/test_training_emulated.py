"""A hundred steps on an emulated 64-bit Pi give this machine's losses.

Needs an Arm root, an emulator and wheels from the registries, all of them cached.
"""

import json
import os
import shutil
import subprocess
import sys
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
from edgedeploy.fetch import Unreachable
from edgedeploy.targets.raspberry_pi.wheelhouse import resolve
from edgedeploy.training.export import export_trainable
from edgedeploy.workspace import cache_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

_STEPS = 100
# Runs on both machines. The data come from NumPy's generator, the same on each.
_LOOP = """
import json, sys
from pathlib import Path
import numpy as np
from ondevice.learner import Learner
learner = Learner(Path(sys.argv[1]))
rng = np.random.default_rng(0)
centres = rng.random((learner.classes, *learner.input_shape), dtype=np.float32)
losses = []
for _ in range(int(sys.argv[2])):
    labels = rng.integers(0, learner.classes, learner.batch_size)
    noise = rng.random((len(labels), *learner.input_shape), dtype=np.float32)
    x = (0.5 * centres[labels] + 0.5 * noise).astype(np.float32)
    losses.append(learner.step(x, labels, float(sys.argv[3])))
print("losses", json.dumps(losses))
"""


def _losses(text):
    line = next(x for x in text.splitlines() if x.startswith("losses "))
    return np.array(json.loads(line.removeprefix("losses ")))


def _networks(nets):
    from keras import Input, Sequential, layers

    head = Sequential(
        [
            Input((128,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(5, activation="softmax"),
        ]
    )
    return {
        "lenet": (nets.lenet(), 8),
        "head": (head, 20),
        "mobile": (nets.mobile(), 8),
    }


@pytest.fixture(scope="module")
def arm():
    try:
        root, qemu = prepare_root("bookworm"), find_qemu()
        house = resolve(
            "3.11", "aarch64", cache=cache_folder(), locked=None, offline=False
        )
    except (Unavailable, Unreachable) as error:
        pytest.skip(f"no emulated Pi here: {error}")
    return root, qemu, house


@pytest.mark.parametrize("name", ["head", "mobile", "lenet"])
def test_a_hundred_steps_give_the_same_losses(name, arm, nets, tmp_path):
    root, qemu, house = arm
    (tmp_path / "wheels").mkdir()
    for wheel in house.files:
        (tmp_path / "wheels" / wheel.filename).symlink_to(wheel.path)
    unpack_wheels(tmp_path, tmp_path / "site")
    code = Path(edgedeploy.ondevice.__file__).parent
    shutil.copytree(code, tmp_path / "ondevice")
    network, batch = _networks(nets)[name]
    exported = export_trainable(network, optimizer="sgd", batch_size=batch)
    (tmp_path / "model.tflite").write_bytes(exported.data)
    (tmp_path / "loop.py").write_text(_LOOP)
    words = (str(tmp_path / "loop.py"), str(tmp_path / "model.tflite"))
    words += (str(_STEPS), "0.02")
    host = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert host.returncode == 0, host.stderr
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    environment["PYTHONPATH"] = f"{tmp_path / 'site'}:{tmp_path}"
    with prefix(root, qemu, cpu_named("cortex-a72")) as view:
        ended = run(
            Job(
                command=view.command("/usr/bin/python3.11", *words),
                what="training on the emulated Pi",
                timeout_s=2400.0,
                environment=environment,
            )
        )
    assert ended.code == 0, ended.text
    ours, theirs = _losses(host.stdout), _losses(ended.text)
    worst = np.abs(ours - theirs).max() / np.abs(ours).max()
    print(f"{name}: {worst:.2e} in {ended.seconds:.0f} s, {ours[0]:.3f} {ours[-1]:.3f}")
    assert ours[-1] < ours[0]
    assert worst < 1e-5
