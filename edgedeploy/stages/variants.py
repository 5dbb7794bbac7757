"""The stage that makes the variants: convert, quantise, and put the metadata in."""

from __future__ import annotations

import hashlib
import importlib.metadata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy import __version__
from edgedeploy.architectures import GRAPHS
from edgedeploy.convert.graphs import Graph, find_graph
from edgedeploy.errors import ConversionError, InputError
from edgedeploy.formats.metadata import embed
from edgedeploy.formats.tflite import TensorInfo, summarize
from edgedeploy.formats.tflite_layout import align_buffers
from edgedeploy.isolate import Progress
from edgedeploy.operators import Fusion, fuse_layer
from edgedeploy.quantize.calibration import CalibrationSet
from edgedeploy.recipes import QUANTIZER
from edgedeploy.specs import PICTURE, ModelSpec, Recipe
from edgedeploy.stages.context import Context
from edgedeploy.stages.conversion import (
    check_quantizer,
    convert,
    graph_for,
    quantize,
    quantizing_inputs,
    record_cost,
)
from edgedeploy.stages.mixing import lock_mixed, mix, mixing_inputs
from edgedeploy.stages.operators import Operator, fusions_digest, make_operators
from edgedeploy.stages.pictures import Pictures, lint_calibration
from edgedeploy.stages.weights import Weights
from edgedeploy.workspace import (
    atomic_file,
    code_digest,
    read_json,
    write_json,
)

# Their versions decide the bytes of a .tflite file.
TOOLS = ("tensorflow", "keras", "numpy", "pillow")
# So does this code of ours; the second where pictures calibrate.
CONVERTING_CODE = (
    "architectures",
    "stages/conversion.py",
    "stages/variants.py",
    "convert",
    "environments",
    "operators/fuse.py",
    "formats/archive.py",
    "formats/flatbuffer.py",
    "formats/labels.py",
    "formats/metadata.py",
    "formats/tflite_inline.py",
    "formats/tflite_layout.py",
    "formats/tflite_shapes.py",
    "formats/zip.py",
    "formats/zip_layout.py",
    "ondevice/shapes.py",
    "quantize",
)
CALIBRATING_CODE = (
    "ondevice/contract.py",
    "ondevice/pictures.py",
    "ondevice/resample.py",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One .tflite file.

    Attributes:
        recipe: Name of the recipe that made it.
        path: Where it is.
        sha256: Of its bytes.
        facts: The value of variant.json.
        operators: Operators of the model's own.
    """

    recipe: str
    path: Path
    sha256: str
    facts: dict[str, Any]
    operators: tuple[Operator, ...] = ()

    @property
    def libraries(self) -> tuple[Path, ...]:
        """The operators' libraries for this machine."""
        return tuple(operator.host_library for operator in self.operators)


def tool_versions() -> dict[str, str]:
    """Versions of what decides the bytes of a variant."""
    versions = {name: importlib.metadata.version(name) for name in TOOLS}
    return {"edgedeploy": __version__, **versions}


def make_variants(
    context: Context, weights: Weights, pictures: Pictures
) -> tuple[Variant, ...]:
    """Make every recipe's variant that is not there already.

    Raises:
        ConversionError: If the converter fails or leaves other than builtin operators.
        QuantizationError: If a recipe cannot be applied.
    """
    context.settle("tools", tool_versions())
    recipes = context.options.recipes
    check_quantizer(weights.spec, recipes)
    operators = make_operators(context, weights.spec)
    calibration = None
    if any(recipe.needs_calibration for recipe in recipes):
        calibration = lint_calibration(context, pictures, weights.spec)
    converter = ""
    if weights.spec.architecture in GRAPHS:
        _refuse_for_graphs(weights.spec)
        converter = _converted(context, weights).converter
    return tuple(
        _make_variant(
            context, weights, recipe, calibration, pictures, operators, converter
        )
        for recipe in recipes
    )


def _refuse_for_graphs(spec: ModelSpec) -> None:
    """Name what needs the network itself, before anything is made."""
    for asked, what in ((spec.shapes, "shapes"), (spec.custom_ops, "custom_ops")):
        if asked:
            raise InputError(
                f"model {spec.name}: {what} need a network that can be rebuilt, a "
                f".keras file or a SavedModel; {spec.architecture} is a finished graph"
            )


def _make_variant(
    context: Context,
    weights: Weights,
    recipe: Recipe,
    calibration: CalibrationSet | None,
    pictures: Pictures,
    operators: tuple[Operator, ...],
    converter: str,
) -> Variant:
    workspace, spec = context.workspace, weights.spec
    name = f"variant-{recipe.name}"
    model = workspace.variant_model(recipe.name)
    facts = workspace.variant_facts(recipe.name)
    used = calibration if recipe.needs_calibration else None
    inputs = {
        "weights": weights.identity(),
        "recipe": recipe.name,
        "labels": list(spec.labels),
        "pipeline": spec.pipeline.to_dict(),
        "shapes": spec.shapes.to_dict() if spec.shapes else None,
        "licence": spec.licence.spdx,
        "calibration": list(used.digests) if used else [],
        "tools": tool_versions(),
        **(
            mixing_inputs(context, recipe, pictures) if recipe.engine == "mixed" else {}
        ),
        **(quantizing_inputs(context) if recipe.engine == QUANTIZER else {}),
        **({"custom_ops": fusions_digest(spec)} if spec.custom_ops else {}),
        **({"graph": converter} if converter else {}),
        "code": code_digest(
            *CONVERTING_CODE, *(CALIBRATING_CODE if recipe.needs_calibration else ())
        ),
    }

    def action(progress: Progress) -> None:
        paths = [str(picture.path) for picture in used.pictures] if used else []
        with atomic_file(model) as temporary:
            if recipe.engine == "mixed":
                found = mix(context, spec, recipe, paths, pictures, temporary, progress)
                fused = temporary.read_bytes()
            elif recipe.engine == QUANTIZER:
                found = {}
                cost = quantize(context, spec, recipe, paths, temporary, progress)
                record_cost(workspace, recipe.name, len(paths), cost)
                fused = temporary.read_bytes()
            else:
                found = {}
                cost = convert(weights, recipe, paths, temporary, progress)
                record_cost(workspace, recipe.name, len(paths), cost)
                fused = _fuse(temporary.read_bytes(), spec)
            data = _with_metadata(fused, spec, recipe)
            temporary.write_bytes(data)
        write_json(facts, {**_facts(data, recipe), **found})

    context.stage(
        name,
        f"convert {recipe.name}",
        inputs=inputs,
        outputs=[model, facts],
        action=action,
    )
    known = read_json(facts)
    if recipe.engine == "mixed":
        lock_mixed(context, recipe, inputs, known["sha256"])
    return Variant(
        recipe=recipe.name,
        path=model,
        sha256=known["sha256"],
        facts=known,
        operators=operators,
    )


def _fuse(data: bytes, spec: ModelSpec) -> bytes:
    """Turn the layers that the model declares into operators of its own."""
    for op in spec.custom_ops:
        fusion = Fusion(layer=op.layer, name=op.name, options=op.options)
        data = fuse_layer(data, fusion)
    return data


def _converted(context: Context, weights: Weights) -> Graph:
    """Convert the graph once, with an announcement."""
    fetched = weights.fetched
    known = find_graph(weights.spec.architecture, fetched.path, fetched.sha256)
    if known:
        return known
    with context.voice.step("convert the graph"):
        return graph_for(weights)


def calibrate_again(
    weights: Weights,
    recipe: Recipe,
    calibration: Sequence[Path],
    out: Path,
    progress: Progress,
) -> None:
    """Make a recipe's model from other calibration pictures; nothing is recorded.

    Args:
        weights: The network.
        recipe: One that the converter follows.
        calibration: Picture files.
        out: Where the .tflite bytes go, without metadata.
        progress: Told how many pictures are done.

    Raises:
        ConversionError: If the converter fails.
    """
    convert(weights, recipe, [str(path) for path in calibration], out, progress)
    if weights.spec.custom_ops:
        out.write_bytes(_fuse(out.read_bytes(), weights.spec))


def _with_metadata(data: bytes, spec: ModelSpec, recipe: Recipe) -> bytes:
    """Put labels and normalisation inside, after checking what the converter left."""
    declared = [op.name for op in spec.custom_ops]
    foreign = [name for name in summarize(data).custom_ops if name not in declared]
    if foreign:
        raise ConversionError(
            f"{recipe.name}: the network needs {', '.join(foreign)}, which plain "
            "LiteRT does not have; replace these layers, or declare [[custom_ops]]"
        )
    if spec.neighbours is not None or spec.outputs == PICTURE:
        # The metadata describes classifiers, whose outputs are the classes.
        return align_buffers(data)
    return embed(
        data,
        name=spec.title,
        description=f"{spec.title}: {spec.summary} ({recipe.name}).",
        version=__version__,
        author=spec.licence.holder,
        licence=spec.licence.spdx,
        labels=spec.labels,
        mean=spec.pipeline.mean,
        std=spec.pipeline.std,
    )


def _facts(data: bytes, recipe: Recipe) -> dict[str, Any]:
    """Describe a variant without measuring anything that depends on the machine."""
    summary = summarize(data)
    return {
        "schema": 1,
        "recipe": recipe.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "deflated_bytes": deflated_size(data),
        "input": _tensor(summary.inputs[0]),
        "output": _tensor(summary.outputs[0]),
        "operators": {
            f"{operator.name}@{operator.version}": operator.count
            for operator in summary.operators
        },
        "weight_bytes": dict(summary.weight_bytes),
        "min_runtime_version": summary.min_runtime_version,
    }


def deflated_size(data: bytes) -> int:
    """Bytes that a store or an APK's deflated entry would move, level 9."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return len(compressor.compress(data)) + len(compressor.flush())


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": tensor.scale[0] if tensor.scale else 0.0,
        "zero_point": tensor.zero_point[0] if tensor.zero_point else 0,
    }
