"""The table of models: one TOML file each under models/."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from edgedeploy.errors import InputError
from edgedeploy.ondevice.contract import ContractError, ImagePipeline
from edgedeploy.ondevice.shapes import InputShapes
from edgedeploy.resources import resource_folder
from edgedeploy.specs import (
    PICTURE,
    PROBABILITIES,
    CustomOp,
    FileSource,
    HttpsSource,
    Licence,
    ModelSpec,
    Neighbours,
    NpmSource,
    PypiSource,
    Source,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = 1
_SHIPPED = "edgedeploy:"
_SOURCES: dict[str, type[Any]] = {
    "https": HttpsSource,
    "pypi": PypiSource,
    "npm": NpmSource,
    "file": FileSource,
}


def model_names() -> tuple[str, ...]:
    """Names of the models in the catalogue, sorted."""
    return tuple(sorted(path.stem for path in resource_folder("models").glob("*.toml")))


def model_specs(model: str) -> tuple[ModelSpec, ...]:
    """Read a model with each of its weights, in the order of preference.

    Args:
        model: A name of `model_names`, or the path of a TOML file of the same shape.

    Raises:
        InputError: If there is no such model or its file is wrong.
    """
    if model in model_names():
        return read_model_file(resource_folder("models") / f"{model}.toml")
    if model.endswith(".toml"):
        return read_model_file(Path(model))
    raise InputError(
        f"no model {model!r} in the catalogue; there are {', '.join(model_names())}, "
        "or give the path of your own model's .toml"
    )


def read_model_file(path: Path) -> tuple[ModelSpec, ...]:
    """Read a model's TOML file.

    Args:
        path: The file; label and licence files are named relative to its folder.

    Returns:
        One spec for each of its weights, in the file's order.

    Raises:
        InputError: If a value is missing, unknown or impossible.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    # ValueError is the base of a decoder's error and what a NUL in a path raises.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid TOML ({error})") from error
    if table.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: schema must be {SCHEMA}; received {table.get('schema')!r}"
        )
    sets = table.get("weights")
    if not isinstance(sets, list) or not sets:
        raise InputError(f"{path}: needs at least one table [[weights]]")
    try:
        return tuple(_spec(table, weights, path.parent) for weights in sets)
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]} is missing") from error
    except (ContractError, InputError) as error:
        raise InputError(f"{path}: {error}") from error
    except TypeError as error:
        raise InputError(f"{path}: wrong field ({error})") from error


def _spec(table: dict[str, Any], weights: dict[str, Any], folder: Path) -> ModelSpec:
    licence = _strings(weights, "licence")
    licence["text"] = _text(folder, licence["text"])
    outputs = _string(weights, "outputs") if "outputs" in weights else PROBABILITIES
    return ModelSpec(
        name=_string(table, "name"),
        title=_string(table, "title"),
        architecture=_string(table, "architecture"),
        weights=_string(weights, "name"),
        summary=_string(weights, "summary"),
        layout=_layout(weights),
        source=_source(weights, folder),
        labels=() if outputs == PICTURE else _lines(folder, weights["labels"]),
        label_ids=(
            _lines(folder, weights["label_ids"]) if "label_ids" in weights else ()
        ),
        outputs=outputs,
        label_set="" if outputs == PICTURE else _string(weights, "label_set"),
        pipeline=ImagePipeline.from_dict(weights["pipeline"]),
        licence=Licence(**licence),
        published_top1=weights.get("published_top1"),
        shapes=_shapes(table, weights),
        custom_ops=_custom_ops(table, folder),
        neighbours=_neighbours(weights, folder),
    )


def _layout(weights: dict[str, Any]) -> str:
    layout = _string(weights, "layout")
    if "+" in layout:
        # Trust is given by who builds, never by the file that wants it.
        raise InputError(f"layout {layout!r}: leave the + out, and give --trust")
    return layout


def _neighbours(weights: dict[str, Any], folder: Path) -> Neighbours | None:
    if "neighbours" not in weights:
        return None
    fields = _table(weights, "neighbours")
    for name in ("vectors", "classes"):
        fields[name] = str((folder / _string(fields, name)).resolve())
    return Neighbours(**fields)


def _custom_ops(table: dict[str, Any], folder: Path) -> tuple[CustomOp, ...]:
    entries = table.get("custom_ops", [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise InputError("custom_ops must be tables [[custom_ops]]")
    found = []
    for entry in entries:
        options = entry.get("options", [])
        if not isinstance(options, list):
            raise InputError(f"options must be a list; received {options!r}")
        texts = {key: value for key, value in entry.items() if key != "options"}
        fields = _strings({"custom_ops": texts}, "custom_ops")
        fields["source"] = str(_operator_source(fields["source"], folder))
        found.append(CustomOp(**fields, options=tuple(options)))
    if len({op.name for op in found}) != len(found):
        # LiteRT gives all nodes of one name the same state.
        raise InputError("custom_ops: two operators have one name")
    return tuple(found)


def _operator_source(name: str, folder: Path) -> Path:
    """Find a source beside the TOML, or one that edgedeploy brings."""
    if name.startswith(_SHIPPED):
        sources = Path(__file__).parent / "operators" / "sources"
        return sources / Path(name.removeprefix(_SHIPPED)).name
    return (folder / name).resolve()


def _shapes(table: dict[str, Any], weights: dict[str, Any]) -> InputShapes | None:
    """Read [weights.input], or the model's [input] for all its weights."""
    values = weights.get("input", table.get("input"))
    return None if values is None else InputShapes.from_dict(values)


def _string(table: dict[str, Any], key: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key} must be text; received {value!r}")
    return value


def _table(values: dict[str, Any], key: str) -> dict[str, Any]:
    table = values[key]
    if not isinstance(table, dict):
        raise InputError(f"{key} must be a table; received {table!r}")
    return dict(table)


def _strings(values: dict[str, Any], key: str) -> dict[str, str]:
    table = _table(values, key)
    return {name: _string(table, name) for name in table}


def _source(weights: dict[str, Any], folder: Path) -> Source:
    fields = _table(weights, "source")
    size = fields.pop("size_bytes", None)
    fields = _strings({"source": fields}, "source")
    kind = fields.pop("kind")
    if kind == "file":
        # As label and licence files, relative to the TOML and not to the user.
        fields["path"] = str((folder / fields["path"]).resolve())
    if size is not None:
        fields["size_bytes"] = size
    if kind not in _SOURCES:
        raise InputError(
            f"source kind must be one of {', '.join(_SOURCES)}; received {kind!r}"
        )
    source: Source = _SOURCES[kind](**fields)
    return source


def _text(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / name}: cannot be read ({error})") from error


def _lines(folder: Path, name: str) -> tuple[str, ...]:
    # Not splitlines(), which also breaks at characters that a label may hold.
    return tuple(_text(folder, name).rstrip("\n").split("\n"))
