"""Level b: the bundle's own runtime on an emulated processor, against this desk's.

Every variant answers the same questions on both sides, and whole output tensors are
compared: int8 bit for bit, float within rounding, dynamic range by its best class,
because Arm cores with dot products round its activations otherwise. LiteRT's quantised
softmax has a kernel of its own on 64-bit Arm, so what goes into it is compared as well,
and what comes out with that kernel replayed.
"""

from __future__ import annotations

import contextlib
import json
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.devices.emulated import respond as respond_module
from edgedeploy.devices.emulated.answers import Answer, compare, read_answers
from edgedeploy.devices.emulated.arm_root import ArmRoot
from edgedeploy.devices.emulated.cpus import Cpu
from edgedeploy.devices.emulated.outcome import EMULATED
from edgedeploy.devices.emulated.qemu import Qemu
from edgedeploy.devices.emulated.runner import Prefix, prefix
from edgedeploy.devices.emulated.unpacked import Unpacked, unpack_wheels
from edgedeploy.devices.processes import Ended, Job, run_together
from edgedeploy.formats.tflite_tail import SoftmaxTail, softmax_tail
from edgedeploy.isolate import Progress, run_isolated, silent
from edgedeploy.results import Check
from edgedeploy.targets.arm_softmax import arm64_outputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

# An int8 network takes seconds under emulation, a float one up to a minute; the
# self-test of level c asks the remaining golden pictures.
GOLDEN_PICTURES, RANDOM_PICTURES = 2, 2
SEED = 20260726
AT_ONCE = 2
_SECONDS_A_QUESTION, _SECONDS_TO_START = 600.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exam:
    """The questions, and where they and their answers lie.

    Attributes:
        opened: The bundle.
        work: A folder for everything.
        pictures: .npy files beside the golden pictures.
        tails: The quantised softmax that a variant ends with, by recipe.
    """

    opened: Unpacked
    work: Path
    pictures: tuple[Path, ...]
    tails: Mapping[str, SoftmaxTail]

    @property
    def recipes(self) -> tuple[str, ...]:
        """The variants, and the models that stop before a softmax."""
        return (
            *self.opened.bundle.variants,
            *(f"{recipe}{respond_module.INNER}" for recipe in self.tails),
        )

    @property
    def questions(self) -> int:
        """How many answers a machine has to give."""
        return len(self.recipes) * (GOLDEN_PICTURES + len(self.pictures))

    def arguments(self, package: str, reply: Path) -> dict[str, Any]:
        """Give the arguments of `respond`."""
        return {
            "folder": str(self.opened.folder),
            "pictures": [str(path) for path in self.pictures],
            "package": package,
            "reply": str(reply),
            "golden": GOLDEN_PICTURES,
            "inner": {recipe: str(self.inner(recipe)) for recipe in self.tails},
        }

    def inner(self, recipe: str) -> Path:
        """Where the model that stops before a variant's softmax lies."""
        return self.work / f"{recipe}-inner.tflite"


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
        One check for each variant and processor, and one more where a variant ends
        with a quantised softmax.

    Raises:
        DeviceError: If an emulated program takes too long.
        IsolatedError: If a model crashes this desk's runtime.
    """
    with tempfile.TemporaryDirectory(prefix="edgedeploy-interpreter-") as name:
        exam = _prepare(opened, Path(name))
        total = exam.questions * (1 + len(cpus))
        desk = _ask_desk(exam)
        progress(exam.questions, total)
        checks: list[Check] = []
        for first in range(0, len(cpus), AT_ONCE):
            done = exam.questions * (1 + first)

            def tell(answers: int, done: int = done) -> None:
                progress(done + answers, total)

            pair = cpus[first : first + AT_ONCE]
            checks += _ask_arm(exam, root, qemu, pair, desk, tell)
    return tuple(checks)


def _prepare(opened: Unpacked, work: Path) -> _Exam:
    pipeline = opened.bundle.pipeline
    unpack_wheels(opened.folder, work / "site")
    found = {
        recipe: softmax_tail(variant.path.read_bytes())
        for recipe, variant in opened.bundle.variants.items()
    }
    tails = {recipe: tail for recipe, tail in found.items() if tail is not None}
    exam = _Exam(
        opened=opened,
        work=work,
        pictures=write_random_pictures(work, pipeline.height, pipeline.width),
        tails=tails,
    )
    for recipe, tail in tails.items():
        exam.inner(recipe).write_bytes(tail.without)
    return exam


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


def answer_here(progress: Progress, **arguments: Any) -> None:
    """Let this desk's runtime answer; called in a child process.

    Args:
        progress: Called once, when it is done.
        **arguments: Those of `respond`.
    """
    respond_module.respond(**arguments)
    progress(1, 1)


def _ask_desk(exam: _Exam) -> dict[str, tuple[Answer, ...]]:
    """Give the answers that an Arm processor should give."""
    reply = exam.work / "desk.jsonl"
    run_isolated(
        "edgedeploy.devices.emulated.interpreter_level:answer_here",
        exam.arguments(respond_module.HERE, reply),
        what="asking the bundle's models here",
    )
    answers = read_answers(reply)
    if platform.machine() == "aarch64":
        return answers
    for recipe, tail in exam.tails.items():
        inner = answers[f"{recipe}{respond_module.INNER}"]
        answers[recipe] = tuple(
            _as_arm64(one, logits, tail)
            for one, logits in zip(answers[recipe], inner, strict=True)
        )
    return answers


def _as_arm64(answer: Answer, logits: Answer, tail: SoftmaxTail) -> Answer:
    outputs = arm64_outputs(logits.values().reshape(1, -1), tail)
    return answer if outputs is None else replace(answer, output=outputs.tobytes())


def _ask_arm(
    exam: _Exam,
    root: ArmRoot,
    qemu: Qemu,
    cpus: Sequence[Cpu],
    desk: Mapping[str, tuple[Answer, ...]],
    tell: Callable[[int], None],
) -> list[Check]:
    replies = {cpu.name: exam.work / f"{cpu.name}.jsonl" for cpu in cpus}

    def tick() -> None:
        tell(sum(_lines(path) for path in replies.values()))

    with contextlib.ExitStack() as stack:
        jobs = [
            _job(exam, stack.enter_context(prefix(root, qemu, cpu)), root)
            for cpu in cpus
        ]
        ended = run_together(jobs, tick=tick)
    checks: list[Check] = []
    for cpu, end in zip(cpus, ended, strict=True):
        checks += _judge(cpu, end, desk, replies[cpu.name])
    return checks


def _job(exam: _Exam, view: Prefix, root: ArmRoot) -> Job:
    reply = exam.work / f"{view.cpu.name}.jsonl"
    questions = exam.work / f"{view.cpu.name}-questions.json"
    arguments = exam.arguments(respond_module.ON_DEVICE, reply)
    questions.write_text(json.dumps(arguments), encoding="utf-8")
    return Job(
        command=view.command(
            f"/usr/bin/python{root.python}",
            # No module of the working folder, and nothing written beside our own.
            *("-P", "-B", str(respond_module.PROGRAM), str(questions)),
        ),
        what=f"the bundle's runtime on {view.cpu.name}",
        timeout_s=_SECONDS_TO_START + exam.questions * _SECONDS_A_QUESTION,
        environment={
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "PYTHONNOUSERSITE": "1",
            "PYTHONPATH": f"{exam.work / 'site'}:{exam.opened.folder}",
        },
        folder=exam.work,
    )


def _judge(
    cpu: Cpu, ended: Ended, desk: Mapping[str, tuple[Answer, ...]], reply: Path
) -> list[Check]:
    found: Mapping[str, tuple[Answer, ...]] = {}
    if reply.is_file():
        found = read_answers(reply, whole=ended.code == 0)
    checks = []
    for recipe, expected in desk.items():
        given = found.get(recipe, ())
        if ended.code != 0 and len(given) < len(expected):
            passed = False
            detail = f"the bundle's runtime gave up: {ended.last_line}"
        else:
            passed, detail = compare(recipe, expected, given)
        name = f"{recipe} on {cpu.name}"
        checks.append(Check(level=EMULATED, name=name, passed=passed, detail=detail))
    return checks


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0
