"""Check an APK with models in it as a device would use it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edgedeploy.errors import EdgedeployError, FormatError
from edgedeploy.formats import apksig, metadata
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.zip import STORED, ZipEntry, entries
from edgedeploy.formats.zip_reader import read_entry
from edgedeploy.isolate import run_isolated
from edgedeploy.ondevice.bundle import CONTRACT
from edgedeploy.results import Check
from edgedeploy.targets.android.apk import MODEL_SUFFIX, map_asset

# LiteRT reads constants in place and takes them to be aligned to this.
RUNTIME_ALIGNMENT_BYTES = 16
_APKSIGNER_S = 120
_MANIFEST = "manifest.json"


def check_apk(path: Path) -> tuple[Check, ...]:
    """Check signatures, tampering, alignment, labels, digests and answers.

    Args:
        path: An APK, ours or anybody's.

    Returns:
        One check each; a malformed package fails checks, it raises nothing.

    Raises:
        InputError: If the file cannot be opened.
    """
    checks = [_signatures(path), _apksigner(path)]
    try:
        listed = entries(path)
    except FormatError as error:
        return (
            *checks,
            Check(level="file", name="zip", passed=False, detail=str(error)),
        )
    models = [entry for entry in listed if entry.name.endswith(MODEL_SUFFIX)]
    if not models:
        checks.append(
            Check(
                level="file",
                name="models",
                passed=False,
                detail="the package holds no .tflite file",
            )
        )
    for entry in models:
        checks += _check_model(path, entry)
    checks += _check_payloads(path, listed)
    checks.append(_tampering(path, models))
    return tuple(checks)


def _signatures(path: Path) -> Check:
    report = apksig.verify(path)
    schemes = ", ".join(f"v{scheme}" for scheme in report.schemes) or "none"
    detail = "; ".join(report.problems) or (
        f"{schemes} hold, certificate {(report.certificate_sha256 or '')[:16]}…"
    )
    if report.unknown_blocks:
        blocks = ", ".join(f"0x{block:08x}" for block in report.unknown_blocks)
        detail += f"; unsigned blocks: {blocks}"
    return Check(level="file", name="signatures", passed=report.verified, detail=detail)


def _apksigner(path: Path) -> Check:
    """Ask Android's own verifier, where it is installed."""
    program = shutil.which("apksigner")
    if program is None:
        return Check(
            level="client",
            name="apksigner",
            passed=None,
            detail="not run here: install Debian's apksigner, or Android's build-tools",
        )
    try:
        with tempfile.TemporaryDirectory(prefix="edgedeploy-") as folder:
            # Java cannot open a path of other than ASCII where the locale is C.
            link = Path(folder) / "package.apk"
            link.symlink_to(path.resolve())
            done = subprocess.run(
                [program, "verify", "--verbose", str(link)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_APKSIGNER_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(
            level="client",
            name="apksigner",
            passed=None,
            detail=f"not run here: {error}",
        )
    lines = (done.stdout + done.stderr).strip().splitlines()
    holds = [
        f"v{scheme}"
        for scheme in (1, 2, 3)
        if any(f"(v{scheme} scheme)" in line and ": true" in line for line in lines)
        or any(f"v{scheme} scheme" in line and line.endswith("true") for line in lines)
    ]
    passed = done.returncode == 0
    detail = f"accepts {', '.join(holds)}" if passed else (lines or ["refused"])[-1]
    return Check(level="client", name="apksigner", passed=passed, detail=detail)


def _check_model(path: Path, entry: ZipEntry) -> Iterator[Check]:
    """Check how a model lies in the package, what it says, and that it runs."""
    stored = entry.method == STORED
    aligned = entry.data_offset % RUNTIME_ALIGNMENT_BYTES == 0
    yield Check(
        level="file",
        name=f"{entry.name} can be mapped",
        passed=stored and aligned,
        detail=(
            f"stored at offset {entry.data_offset}, a multiple of "
            f"{_alignment(entry.data_offset)}"
            if stored
            else "compressed; Android cannot map it (noCompress in Gradle)"
        ),
    )
    if not stored:
        return
    try:
        view, _ = map_asset(path, entry.name)
        model = bytes(view)
        if _has_neighbours(path, entry.name):
            yield Check(
                level="file",
                name=f"{entry.name} metadata",
                passed=None,
                detail="not looked for: it gives embeddings, neighbours the classes",
            )
        else:
            yield _labels_of(entry.name, model)
    except EdgedeployError as error:
        yield Check(level="file", name=entry.name, passed=False, detail=str(error))
        return
    foreign = summarize(model).custom_ops
    if foreign:
        yield Check(
            level="host",
            name=f"{entry.name} runs",
            passed=None,
            detail=f"not run here: it needs the operator {', '.join(foreign)}",
        )
    else:
        yield _runs(path, entry.name)


def _alignment(offset: int) -> int:
    """The largest power of two, up to a 16 KiB page, that divides an offset."""
    return min(offset & -offset, 16384) if offset else 16384


def _has_neighbours(path: Path, name: str) -> bool:
    """Whether the payload that a model belongs to lets neighbours vote."""
    contract = str(PurePosixPath(name).parent.parent / CONTRACT)
    for entry in entries(path):
        if entry.name == contract:
            try:
                document = json.loads(read_entry(path, entry))
            except (ValueError, RecursionError):
                return False
            return isinstance(document, dict) and "neighbours" in document
    return False


def _labels_of(name: str, model: bytes) -> Check:
    outputs = summarize(model).outputs[0].shape[-1]
    described = metadata.read(model)
    if described is None:
        return Check(
            level="file",
            name=f"{name} metadata",
            passed=False,
            detail="the model carries no TFLite Metadata",
        )
    count = len(described.labels)
    return Check(
        level="file",
        name=f"{name} metadata",
        passed=count == outputs,
        detail=f"{count} labels for {outputs} outputs, mean {described.mean}, "
        f"std {described.std}",
    )


def _runs(path: Path, name: str) -> Check:
    try:
        outputs = run_isolated(
            "edgedeploy.targets.android.replay:compare_mapped",
            {"path": str(path), "name": name},
            what=f"running {name}",
        )
    except EdgedeployError as error:
        return Check(level="host", name=f"{name} runs", passed=False, detail=str(error))
    return Check(
        level="host",
        name=f"{name} runs",
        passed=outputs["equal"],
        detail="mapped in place it answers as the plain file does"
        if outputs["equal"]
        else f"its answers differ from the plain file's by {outputs['difference']:g}",
    )


def _check_payloads(path: Path, listed: tuple[ZipEntry, ...]) -> Iterator[Check]:
    """Replay the golden vectors of every payload of ours in the package."""
    folders = [
        PurePosixPath(entry.name).parent
        for entry in listed
        if PurePosixPath(entry.name).name == _MANIFEST
    ]
    if not folders:
        yield Check(
            level="host",
            name="golden vectors",
            passed=None,
            detail="not run here: the package carries no manifest of edgedeploy",
        )
    for folder in folders:
        try:
            yield from _replay(path, folder)
        except EdgedeployError as error:
            yield Check(
                level="host",
                name=f"{folder} self-test",
                passed=False,
                detail=str(error),
            )


def _replay(path: Path, folder: PurePosixPath) -> Iterator[Check]:
    report = run_isolated(
        "edgedeploy.targets.android.replay:replay_payload",
        {"path": str(path), "folder": str(folder)},
        what=f"self-test of {folder}",
    )
    for check in report["checks"]:
        yield Check(
            level="host",
            name=f"self-test: {check['name']}",
            passed=check["passed"],
            detail=check["detail"],
        )


def _tampering(path: Path, models: list[ZipEntry]) -> Check:
    """Flip one byte of the first model and see that the signatures notice."""
    data = bytearray(path.read_bytes())
    position = models[0].data_offset + models[0].compressed_bytes // 2 if models else 0
    data[position] ^= 1
    report = apksig.verify(bytes(data))
    return Check(
        level="file",
        name="tampering is noticed",
        passed=not report.verified,
        detail=report.problems[0]
        if report.problems
        else f"byte {position} was flipped, and no signature noticed",
    )
