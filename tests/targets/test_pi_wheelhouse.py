import hashlib
import zipfile

import pytest

from edgedeploy.errors import FetchError, InputError, LockError, PackageError
from edgedeploy.fetch import Unreachable
from edgedeploy.targets.raspberry_pi.systems import pythons_on, system_for
from edgedeploy.targets.raspberry_pi.tags import (
    check_tags,
    oldest_glibc,
    parse_wheel_name,
    platform_tags,
)
from edgedeploy.targets.raspberry_pi.wheel_notices import describe_wheel
from edgedeploy.targets.raspberry_pi.wheelhouse import Wheel, resolve

PI = system_for("3.11", "aarch64")


@pytest.mark.parametrize(
    "name",
    [
        "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl",
        "numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
        "x-1-cp38-abi3-manylinux2014_aarch64.whl",
        "x-1-py3-none-any.whl",
        "x-1-py2.py3-none-any.whl",
        "x-1-3build-cp311-cp311-linux_aarch64.whl",
        "x-1-cp311-cp311-manylinux_2_36_aarch64.whl",
    ],
)
def test_wheel_that_fits_bookworm_is_accepted(name):
    assert check_tags(name, PI) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x-1-cp312-cp312-manylinux_2_17_aarch64.whl", "cp312"),
        ("x-1-cp312-abi3-manylinux_2_17_aarch64.whl", "cp312"),
        ("x-1-cp310-cp310-manylinux_2_17_aarch64.whl", "cp310"),
        ("x-1-cp311-cp311t-manylinux_2_17_aarch64.whl", "cp311"),
        ("x-1-py2-none-any.whl", "py2"),
        ("x-1-cp311-cp311-manylinux_2_17_x86_64.whl", "x86_64"),
        ("x-1-cp311-cp311-manylinux_2_37_aarch64.whl", "2.36"),
        ("x-1-cp311-cp311-musllinux_1_2_aarch64.whl", "musllinux"),
        ("x-1-cp311-cp311-macosx_11_0_arm64.whl", "macosx"),
        ("x-1-cp311-cp311-linux_armv7l.whl", "armv7l"),
    ],
)
def test_wheel_that_does_not_fit_is_refused_with_the_reason(name, reason):
    assert reason in check_tags(name, PI)


@pytest.mark.parametrize("name", ["x.whl", "x-1.tar.gz", "../x-1-py3-none-any.whl", ""])
def test_name_that_is_no_wheels_is_refused(name):
    with pytest.raises(PackageError):
        parse_wheel_name(name)


def test_name_is_normalised():
    parts = parse_wheel_name("AI_Edge.LiteRT-2.3.0+local-py3-none-any.whl")
    assert (parts.name, parts.version) == ("ai-edge-litert", "2.3.0+local")


def test_every_platform_tag_is_listed_for_pip():
    tags = platform_tags(PI)
    assert tags[0] == "manylinux_2_36_aarch64"
    assert set(tags) == {f"manylinux_2_{n}_aarch64" for n in range(17, 37)} | {
        "manylinux2014_aarch64",
        "linux_aarch64",
    }


def test_oldest_glibc_is_the_best_of_a_wheels_tags():
    def name(tags):
        return f"x-1-cp311-cp311-{tags}.whl"

    assert oldest_glibc(name("manylinux_2_28_aarch64"), PI) == (2, 28)
    two = name("manylinux_2_28_aarch64.manylinux2014_aarch64")
    assert oldest_glibc(two, PI) == (2, 17)
    assert oldest_glibc("x-1-py3-none-any.whl", PI) == (0, 0)


@pytest.mark.parametrize(
    ("python", "arch", "reason"),
    [
        ("3.9", "aarch64", "bookworm has 3.11"),
        ("3.14", "aarch64", "Nearest: 3.13"),
        ("2.7", "aarch64", "Nearest: 3.11"),
        ("", "aarch64", "Nearest: 3.11"),
        ("3.13", "armv7l", r"no runtime has wheels .* 3.11 on armv7l .* aarch64"),
        ("3.12", "armv7l", "tflite-runtime ends at Python 3.11"),
        ("3.11", "armv6l", "Zero 2 W"),
        ("3.11", "armhf", "called armv7l"),
        ("3.13", "arm64", "called aarch64"),
        ("3.11", "riscv64", "aarch64"),
    ],
)
def test_system_without_wheels_is_refused_with_a_way_on(tmp_path, python, arch, reason):
    with pytest.raises(InputError, match=reason):
        resolve(python, arch, cache=tmp_path, locked=None, offline=True)


def test_bundle_for_32_bits_has_tflite_runtime_and_the_systems_packages():
    system = system_for("3.11", "armv7l")
    assert pythons_on("armv7l") == ("3.11",)
    assert pythons_on("aarch64") == ("3.11", "3.12", "3.13")
    assert system.distributions == ("tflite-runtime",)
    assert system.requirements == ("tflite-runtime==2.14.0",)
    assert system.system_packages == ("python3-numpy", "python3-pil")
    assert set(system.architecture.machines) == {"armv7l", "armv8l", "aarch64"}
    wheel = "tflite_runtime-2.14.0-cp311-cp311-manylinux_2_34_armv7l.whl"
    assert check_tags(wheel, system) is None
    assert oldest_glibc(wheel, system) == (2, 34)
    assert "armv7l" in check_tags(NAMES[1], system)


def wheel_file(folder, filename, metadata="License-Expression: MIT\n"):
    path = folder / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = parse_wheel_name(filename)
    with zipfile.ZipFile(path, "w") as archive:
        info = f"{parts.name}-{parts.version}.dist-info"
        archive.writestr(f"{info}/METADATA", f"Name: {parts.name}\n{metadata}")
        archive.writestr(f"{info}/licenses/", "")
        archive.writestr(f"{info}/licenses/LICENSE", "Do what you like.")
    return path


NAMES = (
    "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl",
    "numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.whl",
    "pillow-12.0.0-cp311-cp311-manylinux_2_27_aarch64.whl",
)


@pytest.fixture
def filled(tmp_path):
    """A cache that has three wheels, and the lock that names them."""
    lock = {}
    for name in NAMES:
        path = wheel_file(tmp_path / "in", name)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        target = tmp_path / "wheels" / digest / name
        target.parent.mkdir(parents=True)
        path.rename(target)
        lock[name] = digest
    return tmp_path, lock


def test_locked_wheels_come_from_the_cache_offline(filled):
    cache, lock = filled
    house = resolve(cache=cache, locked=lock, offline=True)
    assert [wheel.name for wheel in house.files] == [
        "ai-edge-litert",
        "numpy",
        "pillow",
    ]
    assert house.lock() == lock
    assert house.requirements().splitlines()[1] == (
        f"numpy==1.26.4 --hash=sha256:{lock[NAMES[1]]}"
    )


def test_missing_or_damaged_locked_wheel_fails_offline(filled):
    cache, lock = filled
    path = cache / "wheels" / lock[NAMES[2]] / NAMES[2]
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(LockError, match="pillow"):
        resolve(cache=cache, locked=lock, offline=True)


@pytest.mark.parametrize("digest", ["", "x" * 64, "../" * 21 + "a"])
def test_malformed_lock_is_refused(filled, digest):
    cache, lock = filled
    with pytest.raises(LockError, match="malformed"):
        resolve(cache=cache, locked={**lock, NAMES[0]: digest}, offline=True)


def test_lock_for_another_python_or_with_a_part_missing_is_refused(filled):
    cache, lock = filled
    with pytest.raises(LockError, match="cp311"):
        resolve("3.13", cache=cache, locked=lock, offline=True)
    del lock[NAMES[1]]
    with pytest.raises(LockError, match="numpy"):
        resolve(cache=cache, locked=lock, offline=True)


def test_offline_without_anything_resolved_says_how_to_go_on(tmp_path):
    with pytest.raises(FetchError, match="without --offline"):
        resolve(cache=tmp_path, locked=None, offline=True)


@pytest.mark.parametrize(
    ("metadata", "licence", "spdx"),
    [
        ("License-Expression: MIT-CMU\n", "MIT-CMU", True),
        ("Classifier: License :: OSI Approved :: BSD License\n", "BSD License", False),
        ("License: Apache 2.0\n", "Apache 2.0", False),
        ("", "not stated", False),
    ],
)
def test_wheels_licence_is_read(tmp_path, metadata, licence, spdx):
    path = wheel_file(tmp_path, "x-1.0-py3-none-any.whl", metadata)
    wheel = Wheel(name="x", version="1.0", filename=path.name, sha256="0", path=path)
    component, texts = describe_wheel(wheel)
    assert (component.licence, component.spdx) == (licence, spdx)
    assert component.purl == "pkg:pypi/x@1.0"
    assert texts == {"LICENSES/x/LICENSE": b"Do what you like."}


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 truncated"])
def test_damaged_wheel_is_a_package_error(tmp_path, data):
    path = tmp_path / "x-1-py3-none-any.whl"
    path.write_bytes(data)
    wheel = Wheel(name="x", version="1", filename=path.name, sha256="0", path=path)
    with pytest.raises(PackageError, match="not a wheel"):
        describe_wheel(wheel)


@pytest.mark.network
def test_real_wheels_are_resolved_locked_and_refused_when_altered(tmp_path):
    try:
        house = resolve(cache=tmp_path / "a", locked=None, offline=False)
    except Unreachable as error:
        pytest.skip(f"needs a package index that pip can reach: {error}")
    numpy = next(wheel for wheel in house.files if wheel.name == "numpy")
    assert numpy.version.startswith("1.")
    lock = house.lock()
    # What was resolved last is there offline, and the lock gets it anywhere.
    again = resolve(cache=tmp_path / "a", locked=None, offline=True)
    assert again == house
    elsewhere = resolve(cache=tmp_path / "b", locked=lock, offline=False)
    assert elsewhere.lock() == lock
    lock[numpy.filename] = "0" * 64
    with pytest.raises(LockError):
        resolve(cache=tmp_path / "c", locked=lock, offline=False)
