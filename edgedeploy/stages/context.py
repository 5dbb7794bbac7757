"""What every stage of a build needs: the options, the workspace, and a voice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgedeploy.choose import PREFERENCES, Gate
from edgedeploy.errors import InputError
from edgedeploy.evaluate.scheduler import parse_engine
from edgedeploy.isolate import Progress
from edgedeploy.lockfile import Lock
from edgedeploy.ondevice.host import usable_cores
from edgedeploy.ondevice.installed import resolve_runtime
from edgedeploy.ondevice.shapes import InputShapes
from edgedeploy.skew.table import find_path
from edgedeploy.specs import Recipe
from edgedeploy.targets.android import kinds as android_kinds
from edgedeploy.targets.android.request import DELIVERIES
from edgedeploy.workspace import Workspace

PYTHONS = ("3.11", "3.13")
KINDS = ("tar", "deb")


class Voice(Protocol):
    """Whom a build tells what it does.

    Attributes:
        lasting: The warnings that hold for what was built, one line each.
    """

    lasting: list[str]

    def step(self, what: str) -> AbstractContextManager[Progress]:
        """Announce a stage that runs; the context gives its progress function."""

    def note(self, line: str) -> None:
        """Say something worth knowing."""

    def warn(self, line: str, *, lasting: bool = True) -> None:
        """Say something that the user should act upon.

        Args:
            line: What to say.
            lasting: Whether every further run of the same build would say it too;
                only then does it belong in the report.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for.

    Attributes:
        model: A name of the catalogue, or the path of a model's TOML file.
        weights: "" or "auto", a name of the model's weights, or a local file.
        images: Folder of evaluation pictures, or None for the shipped samples.
        calibration: Folder of calibration pictures, or None.
        finetune: Folder of pictures that int4_mixed learns from, or None.
        recipes: What to build, float32 first.
        gate: Budgets of the choice.
        prefer: "smallest", "smallest-download" or "fastest".
        max_size: Largest int4_mixed file in bytes; 0 for any.
        runtime: A runtime's name, or "auto".
        threads: Threads of evaluation; 0 for one per core.
        max_skipped: Share of undecodable pictures that is still a measurement.
        offline: Whether the network must not be touched.
        strict: Whether `--weights auto` must not fall back.
        trust: Whether code in the model's file may run.
        update_lock: Whether what is locked may change.
        only: Whether deliverables carry the chosen variant alone, without float32.
        keystore: PKCS#12 or JKS file with the signing key, or None for the debug key.
        rotated_from: File with the key that the keystore's follows, or None.
        package: Application id of the APK; "" for one made from the model's name.
        version_code: versionCode of the APK.
        version_name: versionName of the APK.
        pythons: Python versions of the Raspberry Pi bundles; none for those of
            `PYTHONS` that the architecture has.
        archs: Their architectures.
        kinds: Of Raspberry Pi bundle: "tar", "deb" or both.
        android_kinds: Of Android package, names of `targets.android.kinds.KINDS`.
        delivery: When Play delivers a pack.
        min_app_version: versionCode of the oldest app that may take an update.
        shapes: The sizes of picture to take, or None for what the model's file says.
        engine: Where evaluation scores pictures: "local", or dask://host:port.
        device_pipelines: Devices whose preprocessing to measure, by name.
        calibration_stability: Whether to convert twice from disjoint pictures.
        show: Names of the pictures on a sweep's page; none for a choice.
    """

    model: str = "inception_v3"
    weights: str = ""
    images: Path | None = None
    calibration: Path | None = None
    finetune: Path | None = None
    recipes: tuple[Recipe, ...] = ()
    gate: Gate = field(default_factory=Gate)
    prefer: str = "smallest"
    max_size: int = 0
    runtime: str = "auto"
    threads: int = 0
    max_skipped: float = 0.05
    offline: bool = False
    strict: bool = False
    trust: bool = False
    update_lock: bool = False
    only: bool = False
    keystore: Path | None = None
    rotated_from: Path | None = None
    package: str = ""
    version_code: int = 1
    version_name: str = "1.0"
    pythons: tuple[str, ...] = ()
    archs: tuple[str, ...] = ("aarch64",)
    kinds: tuple[str, ...] = KINDS
    android_kinds: tuple[str, ...] = android_kinds.DEFAULT
    delivery: str = DELIVERIES[0]
    min_app_version: int = 0
    shapes: InputShapes | None = None
    engine: str = "local"
    device_pipelines: tuple[str, ...] = ()
    calibration_stability: bool = False
    show: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that no build could follow."""
        if self.threads < 0:
            raise InputError(f"threads must be 0 or more; received {self.threads}")
        if not 0 <= self.max_skipped <= 1:
            raise InputError(
                f"max-skipped is a fraction from 0 to 1; received {self.max_skipped:g}"
            )
        if self.prefer not in PREFERENCES:
            raise InputError(
                f"prefer must be {' or '.join(PREFERENCES)}; received {self.prefer!r}"
            )
        if self.max_size < 0:
            raise InputError(
                f"max-size is in bytes, 0 for any; received {self.max_size}"
            )
        self._refuse_idle_finetune()
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise InputError(
                f"kind must be {' or '.join(KINDS)}; received {unknown[0]!r}"
            )
        for kind in self.android_kinds:
            android_kinds.kind_named(kind)
        if self.delivery not in DELIVERIES:
            raise InputError(
                f"delivery must be {', '.join(DELIVERIES)}; received {self.delivery!r}"
            )
        for name in self.device_pipelines:
            find_path(name)
        if self.min_app_version < 0:
            raise InputError(
                f"min-app-version must be 0 or more; received {self.min_app_version}"
            )
        parse_engine(self.engine)
        # It would otherwise be missed minutes later, when the variants are made.
        resolve_runtime(self.runtime)

    def _refuse_idle_finetune(self) -> None:
        if self.finetune and all(one.engine != "mixed" for one in self.recipes):
            raise InputError(
                "--finetune goes with the recipe int4_mixed, which is not among those "
                "asked for; add it to --recipes, or leave --finetune out"
            )

    @property
    def worker_threads(self) -> int:
        """Threads to use: as asked, or one per core that this process may use."""
        return self.threads or usable_cores()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One build.

    Attributes:
        options: What the user asked for.
        workspace: Where the files go.
        voice: Whom to tell.
    """

    options: Options
    workspace: Workspace
    voice: Voice

    @property
    def lock(self) -> Lock:
        """The lock file, as this build may use it."""
        return Lock(
            path=self.workspace.lock_path,
            model=self.workspace.model,
            update=self.options.update_lock,
        )

    def settle(self, key: str, value: object, *, asked: bool = False) -> None:
        """Hold a fact against the lock; a replaced one is said aloud."""
        line = self.lock.settle(key, value, asked=asked)
        if line:
            self.voice.warn(line, lasting=False)

    def stage(
        self,
        name: str,
        what: str,
        *,
        inputs: Mapping[str, object],
        outputs: Sequence[Path],
        action: Callable[[Progress], None],
    ) -> bool:
        """Run a stage with its announcement, unless it is done already."""

        def announced() -> None:
            with self.voice.step(what) as progress:
                action(progress)

        return self.workspace.run_stage(
            name, inputs=inputs, outputs=outputs, action=announced
        )
