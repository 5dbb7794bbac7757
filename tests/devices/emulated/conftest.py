import hashlib
import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

from edgedeploy.targets.raspberry_pi.bundle import write_bundle
from edgedeploy.targets.raspberry_pi.systems import system_for
from edgedeploy.targets.raspberry_pi.wheelhouse import Wheel, Wheelhouse

# Test folders are no packages; one module object keeps the conversion to one.
_NAME = "edgedeploy_tiny_models"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        _NAME, Path(__file__).parents[2] / "ondevice" / "tiny_models.py"
    )
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])


@pytest.fixture(scope="session")
def tiny_payload():
    """The payload of tiny classifiers: float32, dynamic_int8 and int8."""
    module = sys.modules[_NAME]
    return module.build_tiny_payload(module.tiny_models())


@pytest.fixture(scope="session")
def hollow_bundle(tiny_payload, tmp_path_factory):
    """Write a bundle whose wheels have names and papers, but no code."""

    def make(python="3.11", arch="aarch64"):
        folder = tmp_path_factory.mktemp("hollow")
        tag = f"cp{python.replace('.', '')}"
        wheels = []
        for name, version in (
            ("ai_edge_litert", "2.3.0"),
            ("numpy", "1.26.4" if python == "3.11" else "2.3.0"),
            ("pillow", "12.0.0"),
        ):
            stem = f"{name}-{version}"
            path = folder / f"{stem}-{tag}-{tag}-manylinux_2_27_{arch}.whl"
            with zipfile.ZipFile(path, "w") as archive:
                info = zipfile.ZipInfo(f"{stem}.dist-info/METADATA")
                archive.writestr(info, f"Name: {name}\nLicense-Expression: MIT\n")
            wheels.append(
                Wheel(
                    name=name.replace("_", "-"),
                    version=version,
                    filename=path.name,
                    sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                    path=path,
                )
            )
        house = Wheelhouse(system=system_for(python, arch), files=tuple(wheels))
        path = folder / f"tiny-pi-{python}-{arch}.tar.gz"
        write_bundle(
            path, payload=tiny_payload, wheelhouse=house, python=python, arch=arch
        )
        return path

    return make
