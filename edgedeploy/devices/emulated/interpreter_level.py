"""Level b: the bundle's own runtime on an emulated processor, against this desk's.

Every variant answers the same questions on both sides, and whole output tensors are
compared: int8 bit for bit, float within rounding, dynamic range by its best class,
because Arm cores with dot products round its activations otherwise.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgedeploy.devices.emulated import respond as respond_module
from edgedeploy.devices.emulated.answers import Answer, compare, read_answers
from edgedeploy.devices.emulated.arm_root import ArmRoot
from edgedeploy.devices.emulated.cpus import Cpu
from edgedeploy.devices.emulated.outcome import EMULATED
from edgedeploy.devices.emulated.qemu import Qemu
from edgedeploy.devices.emulated.runner import Prefix, prefix
from edgedeploy.devices.emulated.unpacked import Unpacked, unpack_wheels
from edgedeploy.devices.processes import Ended, Job, run_together
from edgedeploy.isolate import Progress, run_isolated, silent
from edgedeploy.results import Check

if TYPE_CHECKING:
    from numpy.typing import NDArray

# An int8 network takes seconds under emulation, a float one up to a minute; the
# self-test of level c asks the remaining golden pictures.
GOLDEN_PICTURES, RANDOM_PICTURES = 2, 2
SEED = 20260726
AT_ONCE = 2
_SECONDS_A_QUESTION, _SECONDS_TO_START = 600.0, 300.0


def check_interpreter(
    opened: Unpacked,
    root: ArmRoot,
    qemu: Qemu,
    cpus: Sequence[Cpu],
    *,
    progress: Progress = silent,
) -> tuple[Check, ...]:
    """Run every variant on every processor and hold the answers against this desk's.

    Args:
        opened: The bundle.
        root: A root with the bundle's Python.
        qemu: The emulator.
        cpus: Two are emulated at a time.
        progress: Called with the answers given and their number.

    Returns:
        One check for each variant and processor.

    Raises:
        DeviceError: If an emulated program takes too long.
        IsolatedError: If a model crashes this desk's runtime.
    """
    with tempfile.TemporaryDirectory(prefix="edgedeploy-interpreter-") as name:
        work = Path(name)
        unpack_wheels(opened.folder, work / "site")
        pictures = write_random_pictures(
            work, opened.bundle.pipeline.height, opened.bundle.pipeline.width
        )
        questions = len(opened.bundle.variants) * (GOLDEN_PICTURES + len(pictures))
        total = questions * (1 + len(cpus))
        desk = _ask_desk(opened, pictures, work / "desk.jsonl")
        progress(questions, total)
        checks: list[Check] = []
        for first in range(0, len(cpus), AT_ONCE):
            pair = cpus[first : first + AT_ONCE]
            done = questions * (1 + first)
            checks += _ask_arm(
                opened, root, qemu, pair, pictures, work, desk, (done, total, progress)
            )
    return tuple(checks)


def write_random_pictures(folder: Path, height: int, width: int) -> tuple[Path, ...]:
    """Write pictures of noise, the same at every call.

    Args:
        folder: Where to.
        height: Of each.
        width: Of each.

    Returns:
        .npy files, uint8, shape (height, width, 3), uniform over 0 to 255.
    """
    import numpy as np

    generator = np.random.Generator(np.random.PCG64(SEED))
    paths = []
    for number in range(1, RANDOM_PICTURES + 1):
        noise: NDArray[np.uint8] = generator.integers(
            0, 256, (height, width, 3), dtype=np.uint8
        )
        path = folder / f"noise-{number}.npy"
        np.save(path, noise)
        paths.append(path)
    return tuple(paths)


def answer_here(
    folder: str, pictures: Sequence[str], reply: str, progress: Progress
) -> None:
    """Let this desk's runtime answer; called in a child process."""
    respond_module.respond(
        folder,
        list(pictures),
        respond_module.HERE,
        reply,
        golden=GOLDEN_PICTURES,
    )
    progress(1, 1)


def _ask_desk(
    opened: Unpacked, pictures: Sequence[Path], reply: Path
) -> Mapping[str, tuple[Answer, ...]]:
    run_isolated(
        "edgedeploy.devices.emulated.interpreter_level:answer_here",
        {
            "folder": str(opened.folder),
            "pictures": [str(path) for path in pictures],
            "reply": str(reply),
        },
        what="asking the bundle's models here",
    )
    return read_answers(reply)


def _ask_arm(
    opened: Unpacked,
    root: ArmRoot,
    qemu: Qemu,
    cpus: Sequence[Cpu],
    pictures: Sequence[Path],
    work: Path,
    desk: Mapping[str, tuple[Answer, ...]],
    counting: tuple[int, int, Progress],
) -> list[Check]:
    done, total, progress = counting
    replies = {cpu.name: work / f"{cpu.name}.jsonl" for cpu in cpus}

    def tick() -> None:
        progress(done + sum(_lines(path) for path in replies.values()), total)

    with contextlib.ExitStack() as stack:
        jobs = [
            _job(
                stack.enter_context(prefix(root, qemu, cpu)),
                opened,
                root,
                pictures,
                work,
                replies[cpu.name],
            )
            for cpu in cpus
        ]
        ended = run_together(jobs, tick=tick)
    checks: list[Check] = []
    for cpu, end in zip(cpus, ended, strict=True):
        checks += _judge(cpu, end, desk, replies[cpu.name], opened)
    return checks


def _job(
    view: Prefix,
    opened: Unpacked,
    root: ArmRoot,
    pictures: Sequence[Path],
    work: Path,
    reply: Path,
) -> Job:
    questions = len(opened.bundle.variants) * (GOLDEN_PICTURES + len(pictures))
    return Job(
        command=view.command(
            f"/usr/bin/python{root.python}",
            # No module of the working folder, and nothing written beside our own.
            *("-P", "-B", str(respond_module.PROGRAM)),
            *(str(opened.folder), str(reply), str(GOLDEN_PICTURES)),
            *map(str, pictures),
        ),
        what=f"the bundle's runtime on {view.cpu.name}",
        timeout_s=_SECONDS_TO_START + questions * _SECONDS_A_QUESTION,
        environment={
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "PYTHONNOUSERSITE": "1",
            "PYTHONPATH": f"{work / 'site'}:{opened.folder}",
        },
        folder=work,
    )


def _judge(
    cpu: Cpu,
    ended: Ended,
    desk: Mapping[str, tuple[Answer, ...]],
    reply: Path,
    opened: Unpacked,
) -> list[Check]:
    found: Mapping[str, tuple[Answer, ...]] = {}
    if reply.is_file():
        found = read_answers(reply, whole=ended.code == 0)
    checks = []
    for recipe in opened.bundle.variants:
        name = f"{recipe} on {cpu.name}"
        if ended.code != 0 and len(found.get(recipe, ())) < len(desk[recipe]):
            detail = f"the bundle's runtime gave up: {ended.last_line}"
            checks.append(Check(level=EMULATED, name=name, passed=False, detail=detail))
            continue
        passed, detail = compare(recipe, desk[recipe], found.get(recipe, ()))
        checks.append(Check(level=EMULATED, name=name, passed=passed, detail=detail))
    return checks


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0
