"""Wheels that have the right names and papers, but no code."""

import hashlib
import zipfile

from edgedeploy.targets.raspberry_pi.systems import system_for
from edgedeploy.targets.raspberry_pi.wheelhouse import Wheel, Wheelhouse

WHEELS = {
    "aarch64": (
        ("ai-edge-litert", "2.3.0", "manylinux_2_27"),
        ("numpy", "1.26.4", "manylinux_2_17"),
        ("pillow", "12.0.0", "manylinux_2_28"),
    ),
    "armv7l": (("tflite-runtime", "2.14.0", "manylinux_2_34"),),
}


def make_wheelhouse(folder, arch="aarch64"):
    """Write the wheels of a system to a folder."""
    wheels = []
    for name, version, tag in WHEELS[arch]:
        stem = f"{name.replace('-', '_')}-{version}"
        path = folder / f"{stem}-cp311-cp311-{tag}_{arch}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            when = zipfile.ZipInfo(f"{stem}.dist-info/METADATA")
            archive.writestr(when, f"Name: {name}\nLicense-Expression: MIT\n")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        wheels.append(
            Wheel(
                name=name,
                version=version,
                filename=path.name,
                sha256=digest,
                path=path,
            )
        )
    return Wheelhouse(system=system_for("3.11", arch), files=tuple(wheels))
