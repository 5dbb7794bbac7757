"""edgedeploy.lock: everything a build resolved, so that the next takes the same.

What is locked changes only when the user says so: by a flag that names the new value,
or by --update-lock. Anything else that differs is an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from edgedeploy.errors import InputError, LockError, WorkspaceError
from edgedeploy.workspace import make_folder, write_bytes

SCHEMA = 1
_HEADER = "Written by edgedeploy; commit it, and change it only with --update-lock."


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The locked facts of one model.

    Attributes:
        path: The lock file.
        model: The model's name, a table in the file.
        update: Whether differing facts are replaced instead of refused.
    """

    path: Path
    model: str
    update: bool = False

    def get(self, key: str) -> Any:
        """Read a locked fact, or None where nothing is locked yet."""
        return self._read().get(self.model, {}).get(key)

    def settle(self, key: str, value: Any, *, asked: bool = False) -> str | None:
        """Hold a resolved fact against the lock, and record it where it is new.

        Args:
            key: The fact, such as "weights" or "calibration".
            value: TOML values.
            asked: Whether the user named this very value on the command line.

        Returns:
            One line to print when a locked fact was replaced, else None.

        Raises:
            LockError: If another value is locked and nobody asked for the new one.
            InputError: If the lock file is damaged.
            WorkspaceError: If it cannot be written.
        """
        value = _plain(value)
        if self.get(key) == value:
            return None
        # Another process may be building another model into the same file.
        with self._guard():
            return self._replace(key, value, asked)

    def _replace(self, key: str, value: Any, asked: bool) -> str | None:
        models = self._read()
        facts = models.setdefault(self.model, {})
        locked = facts.get(key)
        facts[key] = value
        if locked is None or locked == value:
            self._write(models)
            return None
        changes = _differences(locked, value)
        if not (asked or self.update):
            raise LockError(
                f"{self.path.name} pins another {key} for {self.model}: {changes}. "
                "Give the locked one, or accept the new one with --update-lock"
            )
        self._write(models)
        return f"{self.path.name}: {key} of {self.model} changed: {changes}"

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Keep other processes from writing the file between a read and a write."""
        # In build/, which users ignore, and not beside the file that they commit.
        path = self.path.parent / "build" / f".{self.path.name}.guard"
        make_folder(path.parent)
        lock = filelock.FileLock(path)
        try:
            lock.acquire()
        except OSError as error:
            raise WorkspaceError(
                f"{path}: {error.strerror}; make the folder writable"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> dict[str, dict[str, Any]]:
        """Read the facts of every model; none where there is no file."""
        import tomlkit
        from tomlkit.exceptions import ParseError

        try:
            text = self.path.read_text(encoding="utf-8")
            document: dict[str, Any] = tomlkit.parse(text).unwrap()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(
                f"{self.path}: {error.strerror}; the lock file must be readable"
            ) from error
        except (ParseError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.path}: not valid TOML ({error}); restore it from your "
                "version control, or delete it to resolve anew"
            ) from error
        if document.get("schema") != SCHEMA:
            raise InputError(
                f"{self.path}: schema must be {SCHEMA}; received "
                f"{document.get('schema')!r}. Use the edgedeploy that wrote it"
            )
        models = document.get("models", {})
        if not isinstance(models, dict) or not all(
            isinstance(facts, dict) for facts in models.values()
        ):
            raise InputError(
                f"{self.path}: models must hold one table a model; restore it from "
                "your version control, or delete it to resolve anew"
            )
        return models

    def _write(self, models: Mapping[str, Any]) -> None:
        """Write every model's facts, sorted, so that equal facts are equal bytes."""
        import tomlkit

        document = tomlkit.document()
        document.add(tomlkit.comment(_HEADER))
        document.add("schema", tomlkit.item(SCHEMA))
        document.add("models", tomlkit.item(_plain(models)))
        write_bytes(self.path, tomlkit.dumps(document).encode())


def _plain(value: Any) -> Any:
    """Sort tables by key, drop nulls and turn tuples into lists."""
    if isinstance(value, Mapping):
        return {
            str(key): _plain(item)
            for key, item in sorted(value.items())
            if item is not None
        }
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _differences(locked: Any, value: Any) -> str:
    """Name what differs, in a line."""
    if not (isinstance(locked, dict) and isinstance(value, dict)):
        return f"locked {_short(locked)}, found {_short(value)}"
    names = [
        name
        for name in sorted(set(locked) | set(value))
        if locked.get(name) != value.get(name)
    ]
    return ", ".join(
        f"{name} locked {_short(locked.get(name))}, found {_short(value.get(name))}"
        for name in names[:3]
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:24]}…"
