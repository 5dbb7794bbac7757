"""The Raspberry Pi bundle: one archive that installs without a network."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import edgedeploy.ondevice
from edgedeploy import __version__
from edgedeploy.errors import PackageError
from edgedeploy.formats.tar import TarEntry, write_tar_gz
from edgedeploy.targets.content import digest_source
from edgedeploy.targets.notices import Component
from edgedeploy.targets.payload import Payload, extend_payload
from edgedeploy.targets.raspberry_pi.runtime_limits import check_models
from edgedeploy.targets.raspberry_pi.tags import oldest_glibc
from edgedeploy.targets.raspberry_pi.wheel_notices import describe_wheel
from edgedeploy.targets.raspberry_pi.wheelhouse import Wheelhouse

SUMS = "SHA256SUMS"
REQUIREMENTS = "requirements.txt"
PROGRAMS = ("classify", "benchmark", "selftest")
_SCRIPTS = ("install.sh", "uninstall.sh", "README.txt")
_TEMPLATES = Path(__file__).with_name("templates")
# These reach shell scripts and file names.
_HANDLE = re.compile(r"[a-z0-9][a-z0-9_-]*")
# Recipes with a budget have an @ in their names.
_FILE_NAME = re.compile(r"[A-Za-z0-9_+@.-]+(?:/[A-Za-z0-9_+@.-]+)*")
# A virtual environment with pip, and what file systems round up.
_SPARE_BYTES = 40 << 20


def bundle_name(model: str, python: str, arch: str) -> str:
    """Name a bundle: its archive without ".tar.gz", and the folder in it."""
    return f"{model}-pi-{python}-{arch}"


def write_bundle(
    path: Path, *, payload: Payload, wheelhouse: Wheelhouse, python: str, arch: str
) -> None:
    """Write the archive; the same inputs give the same bytes.

    Args:
        path: Where to; replaced in one step.
        payload: What every deliverable carries.
        wheelhouse: The wheels, resolved for `python` and `arch`.
        python: The device's Python, such as "3.11".
        arch: The device's architecture, such as "aarch64".

    Raises:
        PackageError: If the parts do not fit together or the file cannot be written.
    """
    system = wheelhouse.system
    if (system.python, system.arch) != (python, arch):
        raise PackageError(
            f"the wheels are for Python {system.python} on {system.arch}; expected "
            f"{python} on {arch}"
        )
    top = bundle_name(payload.model, python, arch)
    files = bundle_files(payload, wheelhouse)
    write_tar_gz(path, bundle_entries(files, top))


def bundle_files(payload: Payload, wheelhouse: Wheelhouse) -> dict[str, Path | bytes]:
    """Gather all files of a bundle, SHA256SUMS included.

    Args:
        payload: What every deliverable carries.
        wheelhouse: The wheels.

    Returns:
        Path or bytes by relative name.

    Raises:
        PackageError: If a part cannot be read, or a name is not fit for a bundle.
    """
    if not _HANDLE.fullmatch(payload.model):
        raise PackageError(
            f"a model in a bundle is named with a-z, 0-9, _ and -; received "
            f"{payload.model!r}"
        )
    check_models(payload.files, wheelhouse.system)
    full = _complete(payload, wheelhouse)
    files = _bundle_files(full, wheelhouse)
    for name in files:
        # install.sh reads names from SHA256SUMS line by line.
        if not _FILE_NAME.fullmatch(name):
            raise PackageError(f"{name!r} cannot be a file name in a bundle")
    digests = {
        name: full.digests[name][0]
        if name in full.digests
        else digest_source(name, source)[0]
        for name, source in files.items()
    }
    sums = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    files[SUMS] = sums.encode()
    return files


def bundle_entries(files: Mapping[str, Path | bytes], top: str) -> list[TarEntry]:
    """Place a bundle's files below a folder, the programs executable.

    Args:
        files: Path or bytes by relative name.
        top: The folder, with forward slashes.
    """
    return [
        TarEntry(name=f"{top}/{name}", source=source, executable=_is_program(name))
        for name, source in files.items()
    ]


def ondevice_sources() -> dict[str, Path]:
    """Give the files of `edgedeploy.ondevice` by their name in a bundle."""
    folder = Path(edgedeploy.ondevice.__file__).parent
    return {f"ondevice/{path.name}": path for path in sorted(folder.glob("*.py"))}


def _complete(payload: Payload, wheelhouse: Wheelhouse) -> Payload:
    """Add the code that runs on the device, and the wheels' papers."""
    system = wheelhouse.system
    texts: dict[str, Path | bytes] = {}
    components = [
        Component(
            kind="library",
            name="edgedeploy-ondevice",
            version=__version__,
            licence="Apache-2.0",
        )
    ]
    for wheel in wheelhouse.files:
        component, licences = describe_wheel(wheel)
        components.append(component)
        texts.update(licences)
    programs = {
        f"bin/{program}": render("launcher.sh.j2", {"program": program})
        for program in PROGRAMS
    }
    target = {
        "kind": "raspberry_pi",
        "python": system.python,
        "arch": system.arch,
        "glibc": list(required_glibc(wheelhouse)),
        "runtime": system.runtime,
        "system_packages": list(system.system_packages),
        "edgedeploy": __version__,
    }
    return extend_payload(
        payload,
        files={**ondevice_sources(), **programs, **texts},
        components=components,
        facts={"target": target, "wheels": wheelhouse.lock()},
    )


def _bundle_files(full: Payload, wheelhouse: Wheelhouse) -> dict[str, Path | bytes]:
    system = wheelhouse.system
    unit = f"edgedeploy-{full.model}-selftest.service"
    camera_unit = f"edgedeploy-{full.model}.service"
    recipes = [name[7:-7] for name in full.files if name.startswith("models/")]
    values = {
        "model": full.model,
        "title": full.title,
        "weights": full.weights,
        "default": full.default,
        "recipes": ", ".join(recipes),
        "python": system.python,
        "arch": system.arch,
        "system": system.name,
        "glibc": required_glibc(wheelhouse),
        "machines": " ".join(system.architecture.machines),
        "bits": system.architecture.bits,
        "system_packages": " ".join(system.system_packages),
        "required_kb": _required_bytes(full, wheelhouse) // 1024,
        "unit": unit,
        "camera_unit": camera_unit,
        "memory_max_mb": _memory_max_mb(full),
        "wheels": ", ".join(f"{one.name} {one.version}" for one in wheelhouse.files),
    }
    files: dict[str, Path | bytes] = {
        **full.files,
        **{f"wheels/{wheel.filename}": wheel.path for wheel in wheelhouse.files},
        REQUIREMENTS: wheelhouse.requirements().encode(),
        f"systemd/{unit}": render("selftest.service.j2", values),
        f"systemd/{camera_unit}": render("classify.service.j2", values),
        "bin/service": render("service.sh.j2", values),
    }
    # The list of sums has a line for each file, install.sh included.
    values["file_count"] = len(files) + len(_SCRIPTS)
    return files | {name: render(f"{name}.j2", values) for name in _SCRIPTS}


def _memory_max_mb(full: Payload) -> int:
    """Bound what the camera's unit may take: the weights are held up to twice."""
    sizes = [size for name, (_, size) in full.digests.items() if "models/" in name]
    return 256 + 3 * (max(sizes, default=0) >> 20)


def required_glibc(wheelhouse: Wheelhouse) -> tuple[int, int]:
    """Find the oldest glibc, (major, minor), that all wheels run with."""
    return max(
        oldest_glibc(wheel.filename, wheelhouse.system) for wheel in wheelhouse.files
    )


def _required_bytes(full: Payload, wheelhouse: Wheelhouse) -> int:
    """Sum what an installation takes; a wheel is a ZIP file, so it says."""
    total = _SPARE_BYTES + sum(size for _, size in full.digests.values())
    for wheel in wheelhouse.files:
        try:
            with zipfile.ZipFile(wheel.path) as archive:
                total += sum(info.file_size for info in archive.infolist())
        except (OSError, zipfile.BadZipFile) as error:
            raise PackageError(f"{wheel.filename}: not a wheel ({error})") from error
    return total


def _is_program(name: str) -> bool:
    return name.startswith("bin/") or name in ("install.sh", "uninstall.sh")


def render(template: str, values: Mapping[str, object]) -> bytes:
    """Fill a template of the bundle.

    Args:
        template: File name under templates/.
        values: By name; a missing one is an error.

    Raises:
        PackageError: If the template or a value is missing.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        # Shell scripts and plain text; what reaches them is checked by _HANDLE.
        autoescape=False,  # noqa: S701
    )
    try:
        return environment.get_template(template).render(**values).encode()
    except jinja2.TemplateError as error:
        raise PackageError(f"template {template}: {error}") from error
