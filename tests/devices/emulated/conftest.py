import hashlib
import zipfile

import pytest

from edgedeploy.targets.raspberry_pi.bundle import write_bundle
from edgedeploy.targets.raspberry_pi.systems import system_for
from edgedeploy.targets.raspberry_pi.wheelhouse import Wheel, Wheelhouse


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
