"""The stages that package: the chosen variant and float32, for each target."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from edgedeploy.errors import InputError
from edgedeploy.formats.apksig import SigningKey
from edgedeploy.isolate import Progress
from edgedeploy.recipes import REFERENCE
from edgedeploy.stages.batching import locked_batches
from edgedeploy.stages.context import PYTHONS, Context, Options
from edgedeploy.stages.facts import build_facts
from edgedeploy.stages.scoring import neighbours_identity
from edgedeploy.stages.variants import Variant
from edgedeploy.stages.weights import Weights
from edgedeploy.targets.android.aar import aar_path
from edgedeploy.targets.android.apk import check_identity
from edgedeploy.targets.android.keystore import (
    load_debug_key,
    load_keystore,
    load_rotated_keystore,
)
from edgedeploy.targets.payload import MANIFEST, Payload, build_payload
from edgedeploy.targets.raspberry_pi.bundle import bundle_name, write_bundle
from edgedeploy.targets.raspberry_pi.debian import package_version, write_package
from edgedeploy.targets.raspberry_pi.systems import System, pythons_on, system_for
from edgedeploy.targets.raspberry_pi.wheelhouse import Wheelhouse, resolve
from edgedeploy.workspace import (
    cache_folder,
    code_digest,
    json_digest,
    make_folder,
)

PAYLOAD_CODE = (
    "formats/flatbuffer.py",
    "formats/tflite_tail.py",
    "targets/arm_softmax.py",
    "targets/content.py",
    "targets/contract_document.py",
    "targets/golden.py",
    "targets/golden_answers.py",
    "targets/golden_pictures.py",
    "targets/notices.py",
    "targets/payload.py",
    "ondevice",
    "stages/facts.py",
)


@dataclass(frozen=True, kw_only=True)
class Packager:
    """What packaging needs of a build.

    Attributes:
        context: The build's options, workspace and voice.
        weights: The fetched weights.
        variants: All variants.
        choice: The recipe that ships.
        key: What signs the APK.
    """

    context: Context
    weights: Weights
    variants: tuple[Variant, ...]
    choice: str
    key: SigningKey
    _settled: dict[str, dict[str, str]] = field(default_factory=dict, init=False)

    @cached_property
    def payload(self) -> Payload:
        """What every deliverable carries; made only when a deliverable is missing."""
        facts = build_facts(self.context, self.weights, self.variants, self.choice)
        shipped = self.shipped()
        return build_payload(
            self.weights.spec,
            shipped,
            default=self.choice,
            facts=facts,
            batches=locked_batches(self.context, shipped),
            operators=shipped[0].operators,
        )

    def outdate_manifest(self) -> None:
        """Remove manifest.json, whose digests are those of the packages before."""
        path = self.context.workspace.folder / MANIFEST
        path.unlink(missing_ok=True)

    def raspberry_pi(self, bundle: PiBundle) -> Path:
        """Write one bundle.

        Returns:
            The archive or the package.

        Raises:
            LockError: If the locked wheels cannot be had.
            PackageError: If the bundle cannot be written.
        """
        options, system = self.context.options, bundle.system
        path = self.context.workspace.folder / "pi" / bundle.filename
        version = package_version(
            options.version_name, options.version_code, system.python
        )
        wheels = self._wheels(system)

        def action(_progress: Progress) -> None:
            make_folder(path.parent)
            self.outdate_manifest()
            house = self._resolve(system, wheels)
            if bundle.kind == "deb":
                write_package(
                    path, payload=self.payload, wheelhouse=house, version=version
                )
            else:
                write_bundle(
                    path,
                    payload=self.payload,
                    wheelhouse=house,
                    python=system.python,
                    arch=system.arch,
                )

        self.context.stage(
            bundle.stage,
            f"package for Raspberry Pi, Python {system.python} on {system.arch}, "
            f"{bundle.kind}",
            inputs={
                **self.inputs(),
                "wheels": wheels,
                # The archive has no version of its own.
                "version": version if bundle.kind == "deb" else None,
                "code": code_digest(
                    *PAYLOAD_CODE,
                    "targets/raspberry_pi",
                    "formats/archive.py",
                    "formats/tar.py",
                    "formats/deb.py",
                    "stages/packaging.py",
                ),
            },
            outputs=[path],
            action=action,
        )
        return path

    def _wheels(self, system: System) -> dict[str, str]:
        """SHA-256 by file name: as locked, or else as resolved and locked now."""
        key = f"wheels-{system.python}-{system.arch}"
        if key in self._settled:
            return self._settled[key]
        locked = self.context.lock.get(key)
        if locked is not None and not self.context.options.update_lock:
            found = self._checked(key, locked)
        else:
            what = f"resolve wheels for Python {system.python} on {system.arch}"
            with self.context.voice.step(what):
                found = self._resolve(system, None).lock()
            self.context.settle(key, found)
        # The archive and the package of one build have the same wheels.
        self._settled[key] = found
        return found

    def _checked(self, key: str, locked: object) -> dict[str, str]:
        """Insist that the lock gives a digest for each of some wheels."""
        if isinstance(locked, dict) and locked:
            digests = {str(name): str(digest) for name, digest in locked.items()}
            if digests == locked:
                return digests
        raise InputError(
            f"{self.context.lock.path}: {key} of {self.context.workspace.model} must "
            "hold a sha256 a wheel; restore it from your version control, or resolve "
            "anew with --update-lock"
        )

    def _resolve(self, system: System, locked: dict[str, str] | None) -> Wheelhouse:
        return resolve(
            system.python,
            system.arch,
            cache=cache_folder(),
            locked=locked,
            offline=self.context.options.offline,
        )

    def shipped(self) -> tuple[Variant, ...]:
        """The variants that the deliverables carry."""
        only = self.context.options.only
        names = (self.choice,) if only else (REFERENCE, self.choice)
        return tuple(v for v in self.variants if v.recipe in names)

    def inputs(self) -> dict[str, Any]:
        """What decides a payload's bytes, for the record of a stage."""
        facts = build_facts(self.context, self.weights, self.variants, self.choice)
        return {
            "facts": json_digest(facts),
            "shipped": [variant.sha256 for variant in self.shipped()],
            "labels": json_digest(self.weights.spec.labels),
            "batches": locked_batches(self.context, self.shipped()),
            "neighbours": neighbours_identity(self.weights.spec),
            "operators": [
                [operator.name, library.abi, library.sha256]
                for operator in self.variants[0].operators
                for library in operator.libraries
            ],
        }


def check_packaging(options: Options, model: str) -> None:
    """Refuse what packaging would refuse, before minutes of other stages.

    Args:
        options: What the user asked for.
        model: The model's name.

    Raises:
        InputError: If a version, an application id or a Python is not allowed.
    """
    package = application_id(options, model)
    check_identity(
        package=package,
        version_code=options.version_code,
        version_name=options.version_name,
        label=model,
    )
    if "aar" in options.android_kinds:
        aar_path(package, options.version_name)
    pi_bundles(options, model)


def signing_key(options: Options) -> SigningKey:
    """Load the given key, or this user's debug key.

    Raises:
        InputError: If a keystore or its password is wrong, or the new key is missing.
        SigningError: If the key cannot be used.
    """
    if options.rotated_from:
        if not options.keystore:
            raise InputError("--rotated-from needs --keystore with the new key")
        return load_rotated_keystore(options.keystore, options.rotated_from)
    return load_keystore(options.keystore) if options.keystore else load_debug_key()


def application_id(options: Options, model: str) -> str:
    """The application id that was given, or one made from the model's name."""
    # An application id has no hyphens.
    return options.package or f"edgedeploy.model.{model.replace('-', '_')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PiBundle:
    """A Raspberry Pi bundle to make.

    Attributes:
        model: The model's name.
        system: What it is for.
        kind: "tar" or "deb".
    """

    model: str
    system: System
    kind: str

    @property
    def stage(self) -> str:
        """Name of the stage that makes it."""
        return f"package-pi-{self.system.python}-{self.system.arch}-{self.kind}"

    @property
    def filename(self) -> str:
        """Name of the file."""
        name = bundle_name(self.model, self.system.python, self.system.arch)
        return f"{name}.deb" if self.kind == "deb" else f"{name}.tar.gz"


def pi_bundles(options: Options, model: str) -> tuple[PiBundle, ...]:
    """List the bundles that were asked for.

    Args:
        options: What the user asked for.
        model: The model's name.

    Raises:
        InputError: If one of them cannot be made.
    """
    return tuple(
        PiBundle(model=model, system=system_for(python, arch), kind=kind)
        for arch in options.archs
        for python in options.pythons or _usual_pythons(arch)
        for kind in options.kinds
    )


def _usual_pythons(arch: str) -> tuple[str, ...]:
    return tuple(python for python in pythons_on(arch) if python in PYTHONS)
