"""Which pictures measure and which calibrate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgedeploy.errors import InputError, WorkspaceError
from edgedeploy.images.datasets import (
    LABELS_FILE,
    MINIMUM,
    RECOMMENDED,
    Dataset,
    Picture,
    dataset_digest,
    read_dataset,
    split_calibration,
)
from edgedeploy.ondevice.pictures import SUFFIXES
from edgedeploy.quantize.calibration import CalibrationSet, calibration_set
from edgedeploy.resources import resource_folder
from edgedeploy.specs import PICTURE, ModelSpec
from edgedeploy.stages.context import Context
from edgedeploy.workspace import (
    code_digest,
    file_digest,
    json_digest,
    read_json,
    recall_json,
    write_json,
)

SAMPLES = "shipped samples"
# Pictures to a phone or a camera, but not to Pillow without plug-ins.
_FOREIGN = (".heic", ".heif", ".avif", ".jxl", ".tif", ".tiff", ".dng", ".cr2", ".nef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The two roles, never mixed.

    Attributes:
        evaluation: Pictures that only measure.
        evaluation_digests: SHA-256 of each one's bytes.
        calibration: Pictures that calibrate.
        calibration_digests: SHA-256 of each one's bytes.
        finetune: Pictures that int4_mixed learns from, or None.
        finetune_digests: SHA-256 of each one's bytes.
    """

    evaluation: Dataset
    evaluation_digests: tuple[str, ...]
    calibration: Dataset
    calibration_digests: tuple[str, ...]
    finetune: Dataset | None = None
    finetune_digests: tuple[str, ...] = ()

    @property
    def smoke(self) -> bool:
        """Whether accuracy on them can not decide anything."""
        return self.evaluation.samples or not self.evaluation.labelled

    def evaluation_digest(self) -> str:
        """SHA-256 over the evaluation pictures' names, contents and labels."""
        return dataset_digest(self.evaluation, self.evaluation_digests)


def find_pictures(context: Context, spec: ModelSpec) -> Pictures:
    """Find the evaluation, the calibration and the fine-tuning pictures.

    Raises:
        InputError: If a folder is missing, or holds too few pictures, or if pictures
            of evaluation shall be learnt from.
    """
    options = context.options
    own = options.images and _read(options.images, spec)
    if own and not options.calibration:
        digests = _digests(context, own)
        calibration, evaluation = split_calibration(own, digests)
        known = {
            picture.name: digest
            for picture, digest in zip(own.pictures, digests, strict=True)
        }
        found = Pictures(
            evaluation=evaluation,
            evaluation_digests=tuple(known[p.name] for p in evaluation.pictures),
            calibration=calibration,
            calibration_digests=tuple(known[p.name] for p in calibration.pictures),
        )
    else:
        evaluation = own or _samples("evaluation", spec)
        calibration = (
            _read(options.calibration, spec)
            if options.calibration
            else _samples("calibration", spec)
        )
        found = Pictures(
            evaluation=evaluation,
            evaluation_digests=_digests(context, evaluation),
            calibration=calibration,
            calibration_digests=_digests(context, calibration),
        )
    if options.finetune:
        found = _with_finetune(context, found, _read(options.finetune, spec))
    _check_count(context, found, spec)
    # Where one folder was divided, both parts know of its other files.
    sets = (found.calibration, found.evaluation, found.finetune)
    parts = {part.ignored: part for part in sets if part}
    for part in parts.values():
        _name_foreign(context, part)
    return found


def _with_finetune(context: Context, found: Pictures, learning: Dataset) -> Pictures:
    """Add the pictures to learn from, which may calibrate but not evaluate."""
    digests = _digests(context, learning)
    names = dict(zip(digests, learning.pictures, strict=True))
    shared = sorted(set(names) & set(found.evaluation_digests))
    if shared:
        raise InputError(
            f"{learning.name}: {len(shared)} of {len(names)} pictures of --finetune "
            f"are evaluation pictures too, such as {names[shared[0]].name}; accuracy "
            "would be measured on what was learnt. Remove them"
        )
    if len(names) < MINIMUM:
        raise InputError(
            f"{learning.name}: --finetune needs at least {MINIMUM} distinct pictures; "
            f"found {len(names)}. Add pictures, or leave --finetune out"
        )
    return replace(found, finetune=learning, finetune_digests=digests)


def lint_calibration(
    context: Context, pictures: Pictures, spec: ModelSpec
) -> CalibrationSet:
    """Choose the calibration pictures, lock them, and say what is weak.

    Decoding them takes seconds for large photos, so it is a stage like any other.
    """
    path = context.workspace.folder / ".calibration.json"

    def lint() -> None:
        found = calibration_set(
            pictures.calibration,
            pictures.calibration_digests,
            evaluation_digests=pictures.evaluation_digests,
            pipeline=spec.pipeline,
        )
        write_json(path, {"digests": found.digests, "warnings": found.warnings})

    context.workspace.run_stage(
        "calibration",
        inputs={
            "calibration": dataset_digest(
                pictures.calibration, pictures.calibration_digests
            ),
            "evaluation": json_digest(sorted(pictures.evaluation_digests)),
            "pipeline": spec.pipeline.digest(),
            "code": code_digest("quantize/calibration.py", "ondevice/pictures.py"),
        },
        outputs=[path],
        action=lint,
    )
    known = read_json(path)
    by_digest = dict(
        zip(pictures.calibration_digests, pictures.calibration.pictures, strict=True)
    )
    chosen = CalibrationSet(
        pictures=tuple(by_digest[digest] for digest in known["digests"]),
        digests=tuple(known["digests"]),
        warnings=tuple(known["warnings"]),
    )
    for line in chosen.warnings:
        context.voice.warn(line)
    options = context.options
    context.settle(
        "calibration",
        {"sha256": json_digest(chosen.digests), "images": len(chosen.digests)},
        asked=bool(options.images or options.calibration),
    )
    return chosen


def _read(folder: Path, spec: ModelSpec) -> Dataset:
    return read_dataset(folder, spec.labels, spec.label_ids, column=spec.label_set)


def _samples(role: str, spec: ModelSpec) -> Dataset:
    folder = resource_folder("models") / "samples" / role
    name = f"{SAMPLES}, {role}"
    header = (folder / LABELS_FILE).read_text(encoding="utf-8").partition("\n")[0]
    if spec.label_set in header.split(","):
        return replace(_read(folder, spec), name=name, samples=True)
    # A user's own classes: the samples show that the variants answer alike.
    paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    pictures = tuple(Picture(name=path.name, path=path, label=None) for path in paths)
    return Dataset(name=name, pictures=pictures, samples=True)


def _name_foreign(context: Context, dataset: Dataset) -> None:
    """Name the pictures that are left out because nothing here decodes them."""
    foreign = [name for name in dataset.ignored if name.lower().endswith(_FOREIGN)]
    if foreign:
        context.voice.warn(
            f"{dataset.name}: {len(foreign)} pictures are left out, such as "
            f"{foreign[0]}: {Path(foreign[0]).suffix} is not read. Convert them to JPEG"
        )


def _check_count(context: Context, pictures: Pictures, spec: ModelSpec) -> None:
    evaluation = pictures.evaluation
    count = len(evaluation.pictures)
    if count < MINIMUM:
        raise InputError(
            f"{evaluation.name}: evaluation needs at least {MINIMUM} pictures; found "
            f"{count}. Add pictures"
        )
    if evaluation.samples:
        context.voice.note(
            f"smoke test: {count} shipped sample pictures show that the chain works, "
            "not how accurate it is; give --images a folder of yours"
        )
    elif count < RECOMMENDED:
        context.voice.warn(
            f"{evaluation.name}: {count} evaluation pictures; under {RECOMMENDED} the "
            "intervals are too wide to tell variants apart"
        )
    # A network that gives pictures is measured without labels.
    wanted = spec.outputs != PICTURE and not evaluation.samples
    if wanted and not evaluation.labelled:
        context.voice.warn(
            f"{evaluation.name}: no picture has a label of this model, so agreement "
            "with float32 is measured, but not accuracy"
        )


def _digests(context: Context, dataset: Dataset) -> tuple[str, ...]:
    """Digest every picture, remembering those whose size and time are unchanged."""
    path = context.workspace.folder / ".stages" / "pictures.json"
    remembered = _remembered(path)
    fresh: dict[str, Sequence[object]] = {}
    for picture in dataset.pictures:
        key = str(picture.path.resolve())
        fresh[key] = _stamp(picture.path, remembered.get(key))
    if any(remembered.get(key) != stamp for key, stamp in fresh.items()):
        write_json(path, remembered | fresh)
    return tuple(
        str(fresh[str(picture.path.resolve())][2]) for picture in dataset.pictures
    )


def _stamp(path: Path, known: Sequence[object] | None) -> Sequence[object]:
    """Give size, time and digest; the last is taken over while the others hold."""
    try:
        status = path.stat()
        if known and list(known[:2]) == [status.st_size, status.st_mtime_ns]:
            return known
        return [status.st_size, status.st_mtime_ns, file_digest(path)]
    except (OSError, WorkspaceError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        raise InputError(
            f"{path}: the picture cannot be read "
            f"({getattr(cause, 'strerror', None) or error}); mend its permissions, or "
            "remove it"
        ) from error


def _remembered(path: Path) -> dict[str, Sequence[object]]:
    return {
        key: stamp
        for key, stamp in recall_json(path).items()
        if isinstance(stamp, list) and len(stamp) == 3
    }
