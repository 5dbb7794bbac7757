"""The environments: one row each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import InputError

_LOCKS = Path(__file__).parent / "locks"
_PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a converter needs.

    Attributes:
        name: What `doctor --install` takes.
        reads: What files it converts.
        converter: The distribution that converts.
        modules: Modules that must import once it is installed.
        sizes: What it costs, measured on x86-64 with Python 3.11.
        either: Names of two more lock files; the second is taken where the first
            cannot be had. Empty for none.
        second_sizes: What the second costs; or "".
    """

    name: str
    reads: str
    converter: str
    modules: tuple[str, ...]
    sizes: str
    either: tuple[str, ...] = ()
    second_sizes: str = ""

    @property
    def lock(self) -> Path:
        """The requirements with their digests."""
        return _LOCKS / f"{self.name}.txt"

    @property
    def either_locks(self) -> tuple[Path, ...]:
        """Two more requirements files, of which one is taken; or none."""
        return tuple(_LOCKS / f"{name}.txt" for name in self.either)

    @property
    def program(self) -> Path:
        """What runs in the environment: `program MODEL OUT`."""
        return _PROGRAMS / f"convert_{self.name}.py"


ENVIRONMENTS = {
    one.name: one
    for one in (
        Environment(
            name="onnx",
            reads=".onnx files",
            converter="onnx2tf",
            modules=("onnx2tf",),
            sizes="about 0.8 GB to download, 2.6 GB on disk",
        ),
        Environment(
            name="torch",
            reads=".pt2 files of torch.export.save",
            converter="litert-torch",
            modules=("torch", "litert_torch"),
            sizes="about 0.6 GB to download, 2.1 GB on disk",
            either=("torch_cpu", "torch_cuda"),
            second_sizes=(
                "pip finds no CPU build of PyTorch 2.13.0 as locked (for Python 3.11), "
                "so the usual one comes with CUDA's libraries, some 3 GB more, which "
                "are not used. To do without, interrupt this and name an index or a "
                "folder of CPU builds to pip (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS)"
            ),
        ),
    )
}


def environment_named(name: str) -> Environment:
    """Look an environment up.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in ENVIRONMENTS:
        raise InputError(
            f"no environment {name!r} to install; there are {', '.join(ENVIRONMENTS)}"
        )
    return ENVIRONMENTS[name]
