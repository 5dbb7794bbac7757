"""What every kind of Android package is made from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import InputError
from edgedeploy.formats.apksig import SigningKey
from edgedeploy.targets.content import write_json
from edgedeploy.targets.payload import Payload

DELIVERIES = ("install-time", "fast-follow", "on-demand")
INDEX = "assets/models.json"
INDEX_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageNames:
    """Under which names something is packaged.

    Attributes:
        name: What files are called after; the model's name, or several joined.
        title: What people see as name.
        package: Application id.
        version_code: 1 to 2,100,000,000.
        version_name: What people see as version.
        delivery: When Play delivers a pack: a word of `DELIVERIES`.
        min_app_version: versionCode of the oldest app that may take an update.
    """

    name: str
    title: str
    package: str
    version_code: int
    version_name: str
    delivery: str = DELIVERIES[0]
    min_app_version: int = 0

    @property
    def pack(self) -> str:
        """Name of the asset pack or AI pack; Play allows letters, digits and _."""
        words = "".join(c if c.isascii() and c.isalnum() else "_" for c in self.name)
        return f"{words}_model" if words[0].isalpha() else f"model_{words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRequest(PackageNames):
    """One or several models to package.

    Attributes:
        payloads: One a model; several must name the same classes in the same order.
        key: What signs.
    """

    payloads: tuple[Payload, ...]
    key: SigningKey

    def __post_init__(self) -> None:
        """Refuse what no app could use with one code path."""
        if self.delivery not in DELIVERIES:
            raise InputError(
                f"delivery must be {', '.join(DELIVERIES)}; received {self.delivery!r}"
            )
        first = self.payloads[0]
        for other in self.payloads[1:]:
            if other.files["labels.txt"] != first.files["labels.txt"]:
                raise InputError(
                    f"{other.model} and {first.model} name other classes; models of "
                    "one package share one label set, so package them apart"
                )

    @property
    def files(self) -> dict[str, Path | bytes]:
        """Contents by name below "assets/", a folder a model.

        With several models, models.json says which there are, and lists the one label
        set that all of them have.
        """
        found = {
            f"assets/{payload.model}/{name}": source
            for payload in self.payloads
            for name, source in payload.files.items()
        }
        if len(self.payloads) > 1:
            found[INDEX] = self._index()
        return found

    def _index(self) -> bytes:
        labels = self.payloads[0].files["labels.txt"]
        data = labels if isinstance(labels, bytes) else labels.read_bytes()
        return write_json(
            {
                "schema": INDEX_SCHEMA,
                "labels": {
                    "file": f"{self.payloads[0].model}/labels.txt",
                    "sha256": hashlib.sha256(data).hexdigest(),
                },
                "models": [
                    {"model": one.model, "folder": one.model, "default": one.default}
                    for one in self.payloads
                ],
            }
        )
