"""The folder of one model's build: its paths, its lock, and stages that run once."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from edgedeploy.errors import WorkspaceError
from edgedeploy.workspace.digests import stamp_of, unchanged
from edgedeploy.workspace.files import (
    make_folder,
    recall_json,
    remove_stale,
    unusable,
    write_json,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where one model is built.

    Attributes:
        root: The project's folder; edgedeploy.lock and build/ are in it.
        model: The model's name, the folder under build/.
    """

    root: Path
    model: str

    @property
    def folder(self) -> Path:
        """The folder build/<model>."""
        return self.root / "build" / self.model

    @property
    def lock_path(self) -> Path:
        """The file that pins what a build resolved."""
        return self.root / "edgedeploy.lock"

    def variant_folder(self, recipe: str) -> Path:
        """The folder of one variant."""
        return self.folder / "variants" / recipe

    def variant_model(self, recipe: str) -> Path:
        """The .tflite file of one variant."""
        return self.variant_folder(recipe) / "model.tflite"

    def variant_facts(self, recipe: str) -> Path:
        """What is known of one variant without measuring."""
        return self.variant_folder(recipe) / "variant.json"

    @contextlib.contextmanager
    def exclusive(self, waiting: Callable[[str], None]) -> Iterator[None]:
        """Keep other processes out of this build folder.

        Args:
            waiting: Told once, in one line, when another process is in it.
        """
        make_folder(self.folder)
        lock = filelock.FileLock(self.folder / ".lock")
        try:
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                waiting(f"another edgedeploy is working in {self.folder}; waiting")
                self._await(lock)
        except OSError as error:
            raise unusable(self.folder, error) from error
        try:
            # Whoever wrote these was killed: nobody else can be in here now.
            remove_stale(self.folder)
            yield
        finally:
            lock.release()

    def _await(self, lock: filelock.BaseFileLock) -> None:
        try:
            lock.acquire()
        except FileNotFoundError:
            # Whoever was in it has removed it, as inv clean does.
            make_folder(self.folder)
            lock.acquire()

    def run_stage(
        self,
        name: str,
        *,
        inputs: Mapping[str, Any],
        outputs: Sequence[Path],
        action: Callable[[], None],
    ) -> bool:
        """Run a stage unless its record says that it is done.

        Args:
            name: The stage, such as "quantize-int8".
            inputs: JSON values that decide the outputs, digests among them.
            outputs: Files that the action leaves, or folders whose every file it
                leaves.
            action: Makes the outputs; each appears whole or not at all.

        Returns:
            Whether the action ran.

        Raises:
            WorkspaceError: If an output is missing after the action.
        """
        record_path = self.folder / ".stages" / f"{name}.json"
        inputs = json.loads(json.dumps(inputs))
        if self.is_done(name, inputs=inputs, outputs=outputs):
            return False
        record_path.unlink(missing_ok=True)
        action()
        self._write_record(record_path, inputs, outputs)
        return True

    def is_done(
        self, name: str, *, inputs: Mapping[str, Any], outputs: Sequence[Path]
    ) -> bool:
        """Whether `run_stage` would skip a stage; arguments are its own."""
        record = recall_json(self.folder / ".stages" / f"{name}.json")
        same = record.get("inputs") == json.loads(json.dumps(inputs))
        return same and self._intact(record, outputs)

    def _intact(self, record: Mapping[str, Any], outputs: Sequence[Path]) -> bool:
        known = _stamps(record)
        names = {
            path.relative_to(self.folder).as_posix(): path for path in _files(outputs)
        }
        # An empty record would be intact for a folder that has vanished.
        if not known or set(known) != set(names):
            return False
        return all(unchanged(names[name], stamp) for name, stamp in known.items())

    def _write_record(
        self, path: Path, inputs: Mapping[str, Any], outputs: Sequence[Path]
    ) -> None:
        stamps = {}
        for output in outputs:
            if not output.exists():
                raise WorkspaceError(f"stage {path.stem} left no {output}")
        for output in _files(outputs):
            stamps[output.relative_to(self.folder).as_posix()] = stamp_of(output)
        write_json(path, {"inputs": inputs, "outputs": stamps})

    def empty(self) -> None:
        """Remove everything in the build folder but its lock."""
        for path in self.folder.iterdir():
            if path.name == ".lock":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def stage_outputs(self, name: str) -> dict[str, dict[str, Any]]:
        """What a stage left: sha256 and size_bytes by path below the build folder."""
        record = recall_json(self.folder / ".stages" / f"{name}.json")
        return {
            path: {"sha256": stamp["sha256"], "size_bytes": stamp["size_bytes"]}
            for path, stamp in _stamps(record).items()
        }


def _files(outputs: Sequence[Path]) -> list[Path]:
    """Replace folders by the files below them."""
    found: list[Path] = []
    for path in outputs:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [file for file in below if not file.is_dir()]
    return found


def _stamps(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Take a record's stamps by path; none where it is damaged."""
    stamps = record.get("outputs")
    whole = isinstance(stamps, dict) and all(
        isinstance(stamp, dict) and {"sha256", "size_bytes"} <= set(stamp)
        for stamp in stamps.values()
    )
    return stamps if isinstance(stamps, dict) and whole else {}
