"""edgedeploy.lock: everything a build resolved, so that the next takes the same.

What is locked changes only when the user says so: by a flag that names the new value,
or by --update-lock. Anything else that differs is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy.errors import InputError, LockError
from edgedeploy.workspace import write_bytes

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
        return _plain(self._read().get("models", {}).get(self.model, {}).get(key))

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
        """
        locked = self.get(key)
        value = _plain(value)
        if locked == value:
            return None
        if locked is None:
            self._write(key, value)
            return None
        changes = _differences(locked, value)
        if not (asked or self.update):
            raise LockError(
                f"{self.path.name} pins another {key} for {self.model}: {changes}. "
                "Give the locked one, or accept the new one with --update-lock"
            )
        self._write(key, value)
        return f"{self.path.name}: {key} of {self.model} changed: {changes}"

    def _read(self) -> dict[str, Any]:
        import tomlkit
        from tomlkit.exceptions import ParseError

        try:
            document = tomlkit.parse(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}") from error
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
        return document

    def _write(self, key: str, value: Any) -> None:
        import tomlkit

        document = self._read()
        if not document:
            document = tomlkit.document()
            document.add(tomlkit.comment(_HEADER))
            document.add("schema", tomlkit.item(SCHEMA))
            document.add("models", tomlkit.table(is_super_table=True))
        models = document["models"]
        if self.model not in models:
            models[self.model] = tomlkit.table()
        models[self.model][key] = value
        write_bytes(self.path, tomlkit.dumps(document).encode())


def _plain(value: Any) -> Any:
    """Turn tomlkit's items into plain values, sorted, without nulls."""
    if hasattr(value, "unwrap"):
        value = value.unwrap()
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
