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
        extra: Name of a second lock file, for wheels that only some builds of the
            first need; or "".
        extra_sizes: What those cost; or "".
    """

    name: str
    reads: str
    converter: str
    modules: tuple[str, ...]
    sizes: str
    extra: str = ""
    extra_sizes: str = ""

    @property
    def lock(self) -> Path:
        """The requirements with their digests."""
        return _LOCKS / f"{self.name}.txt"

    @property
    def extra_lock(self) -> Path | None:
        """The second lock file."""
        return _LOCKS / f"{self.extra}.txt" if self.extra else None

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
            extra="torch_cuda",
            extra_sizes=(
                "your index has no CPU build of PyTorch, so CUDA's libraries come too, "
                "some 3 GB more; they are not used. Name an index of CPU builds to pip "
                "(PIP_EXTRA_INDEX_URL) to do without"
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
