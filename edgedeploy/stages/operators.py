"""The stage that compiles a model's own operators, for each ABI with a compiler."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import ConversionError
from edgedeploy.isolate import Progress
from edgedeploy.operators import Library, Toolchain, compile_op, toolchains
from edgedeploy.operators.compile import HEADER, host_abi, read_source
from edgedeploy.specs import CustomOp, ModelSpec
from edgedeploy.stages.context import Context
from edgedeploy.workspace import code_digest, json_digest, read_json, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """An operator of the model's own, compiled.

    Attributes:
        name: As the model names it.
        libraries: One for each ABI that there is a compiler for.
    """

    name: str
    libraries: tuple[Library, ...]

    @property
    def host_library(self) -> Path:
        """The library that this machine loads."""
        abi = host_abi()
        return next(library.path for library in self.libraries if library.abi == abi)


def make_operators(context: Context, spec: ModelSpec) -> tuple[Operator, ...]:
    """Compile every operator that the model declares.

    Raises:
        InputError: If a source cannot be read.
        ConversionError: If this machine has no compiler of its own, or one refuses a
            source.
        LockError: If a compiler gives other bytes than the locked ones.
    """
    if not spec.custom_ops:
        return ()
    found = toolchains()
    usable = tuple(one for one in found if one.compiler)
    if host_abi() not in [one.abi for one in usable]:
        raise ConversionError(
            f"{spec.name}: its operators have to run here to be measured, which needs "
            "a C compiler for this machine; apt-get install gcc"
        )
    for missing in (one for one in found if not one.compiler):
        context.voice.warn(
            f"{', '.join(op.name for op in spec.custom_ops)}: not built for "
            f"{missing.abi}, since no compiler for it is at hand; {missing.advice}"
        )
    return tuple(_make_operator(context, op, usable) for op in spec.custom_ops)


def fusions_digest(spec: ModelSpec) -> str:
    """Digest of what fusing depends on: names, layers and options."""
    return json_digest(
        [[op.name, op.layer, list(op.options)] for op in spec.custom_ops]
    )


def _make_operator(
    context: Context, op: CustomOp, usable: tuple[Toolchain, ...]
) -> Operator:
    folder = context.workspace.folder / "operators"
    paths = {one.abi: folder / one.abi / f"{op.name}.so" for one in usable}
    facts = folder / f"{op.name}.json"
    source = Path(op.source)

    def action(_progress: Progress) -> None:
        made = [compile_op(source, one, paths[one.abi]) for one in usable]
        write_json(facts, {one.abi: [one.sha256, one.compiler] for one in made})

    context.stage(
        f"operator-{op.name}",
        f"compile {op.name}",
        inputs={
            "source": read_source(source).decode(),
            "header": HEADER.read_text(encoding="utf-8"),
            "compilers": [_identify(one) for one in usable],
            "code": code_digest("operators/compile.py"),
        },
        outputs=[*paths.values(), facts],
        action=action,
    )
    known: dict[str, list[str]] = read_json(facts)
    libraries = tuple(
        Library(abi=abi, path=paths[abi], sha256=sha256, compiler=compiler)
        for abi, (sha256, compiler) in sorted(known.items())
    )
    for library in libraries:
        context.settle(
            f"operator-{op.name}-{library.abi}",
            {"sha256": library.sha256, "compiler": library.compiler},
        )
    return Operator(name=op.name, libraries=libraries)


def _identify(toolchain: Toolchain) -> list[str]:
    """Name a compiler by what changes when it is updated."""
    compiler = shutil.which(str(toolchain.compiler))
    place = Path(compiler or "").resolve()
    return [toolchain.abi, str(place), str(place.stat().st_size)]
