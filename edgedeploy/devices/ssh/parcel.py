"""A bundle on this machine, opened and cut into what can be sent."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.devices.ssh.remote import Remote
from edgedeploy.errors import DeviceError, InputError
from edgedeploy.formats.tar import extract_tar_gz
from edgedeploy.ondevice.bundle import place, read_document
from edgedeploy.targets.raspberry_pi.bundle import SUMS

# A dropped connection costs at most one of these.
PIECE_BYTES = 4 << 20
_SUM_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_+@.-]+(?:/[A-Za-z0-9_+@.-]+)*)")
_MODEL = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of a file.

    Attributes:
        sha256: Of its bytes.
        offset: Where it begins in the file.
        size: Bytes.
    """

    sha256: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelFile:
    """A file of a bundle.

    Attributes:
        name: Its path in the bundle.
        path: Where it was unpacked.
        sha256: Of its bytes.
        executable: Whether it is a program.
        pieces: What it is sent in; of a small file, itself.
    """

    name: str
    path: Path
    sha256: str
    executable: bool
    pieces: tuple[Piece, ...]

    @property
    def size_bytes(self) -> int:
        """Its size."""
        return sum(piece.size for piece in self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """An opened bundle.

    Attributes:
        model: The model's name.
        python: The Python it is for.
        arch: The architecture it is for.
        identity: SHA-256 of its SHA256SUMS, which names every byte of it.
        files: All of its files.
    """

    model: str
    python: str
    arch: str
    identity: str
    files: tuple[ParcelFile, ...]


def open_parcel(path: Path, folder: Path) -> Parcel:
    """Unpack a bundle and check each file against its digest.

    Args:
        path: The .tar.gz file.
        folder: Empty, or not there yet.

    Raises:
        FormatError: If it is damaged or hostile.
        InputError: If it is no bundle for a Raspberry Pi, or was altered.
    """
    if not path.name.endswith(".tar.gz") or not path.is_file():
        raise InputError(
            f"{path}: expected a bundle, such as build/MODEL/pi/….tar.gz; a .deb is "
            "installed by apt"
        )
    members = extract_tar_gz(path, folder)
    tops = {member.name.partition("/")[0] for member in members}
    if len(tops) != 1:
        raise InputError(f"{path}: a bundle has one folder; found {len(tops)}")
    top = folder / tops.pop()
    programs = {
        member.name.partition("/")[2] for member in members if member.executable
    }
    sums = _read_sums(path, top)
    names = {member.name.partition("/")[2] for member in members}
    if names != {SUMS, *sums}:
        raise InputError(f"{path}: its files are not those that {SUMS} lists")
    files = []
    for name in sorted(names):
        file = _parcel_file(top / name, name, name in programs)
        if sums.get(name, file.sha256) != file.sha256:
            raise InputError(f"{path}: {name} was altered; build the bundle again")
        files.append(file)
    identity = next(file.sha256 for file in files if file.name == SUMS)
    return _described(path, top, identity, tuple(files))


def _described(
    path: Path, top: Path, identity: str, files: tuple[ParcelFile, ...]
) -> Parcel:
    manifest = read_document(top / "manifest.json")
    target = manifest.get("target")
    if not isinstance(target, dict) or target.get("kind") != "raspberry_pi":
        raise InputError(f"{path}: its manifest names no Raspberry Pi as target")
    model = str(manifest.get("model"))
    # It becomes part of paths on the host.
    if not _MODEL.fullmatch(model):
        raise InputError(f"{path}: {model[:80]!r} cannot be a model's name")
    return Parcel(
        model=model,
        python=str(target.get("python")),
        arch=str(target.get("arch")),
        identity=identity,
        files=files,
    )


def _read_sums(path: Path, top: Path) -> dict[str, str]:
    try:
        lines = (top / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: has no readable {SUMS}") from error
    sums = {}
    for line in lines:
        match = _SUM_LINE.fullmatch(line)
        if match is None:
            raise InputError(f"{path}: {SUMS} has a malformed line {line[:80]!r}")
        place(top, match[2])
        sums[match[2]] = match[1]
    return sums


def _parcel_file(path: Path, name: str, executable: bool) -> ParcelFile:
    whole = hashlib.sha256()
    pieces: list[Piece] = []
    offset = 0
    with path.open("rb") as file:
        while (block := file.read(PIECE_BYTES)) or not pieces:
            whole.update(block)
            pieces.append(
                Piece(
                    sha256=hashlib.sha256(block).hexdigest(),
                    offset=offset,
                    size=len(block),
                )
            )
            offset += len(block)
    return ParcelFile(
        name=name,
        path=path,
        sha256=whole.hexdigest(),
        executable=executable,
        pieces=tuple(pieces),
    )


class Depot:
    """The bundles that may be installed, each opened when it is first wanted.

    Args:
        candidates: Archive by (Python, architecture).
        folder: Where they are unpacked.
    """

    def __init__(self, candidates: dict[tuple[str, str], Path], folder: Path) -> None:
        self._candidates = candidates
        self._folder = folder
        self._opened: dict[tuple[str, str], Parcel] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, parcel: Parcel) -> Depot:
        """Make a depot of one opened bundle."""
        wanted = (parcel.python, parcel.arch)
        depot = cls({wanted: Path()}, Path())
        depot._opened[wanted] = parcel
        return depot

    def choose(self, remote: Remote) -> Parcel:
        """Take the bundle that fits a host.

        Raises:
            DeviceError: If none does; the message says what was looked for.
        """
        for wanted in remote.pythons:
            if wanted in self._candidates:
                return self._open(wanted)
        made = ", ".join(
            f"Python {python} on {arch}" for python, arch in sorted(self._candidates)
        )
        if not remote.pythons:
            raise DeviceError(
                f"has no Python; the bundle is for {made}: sudo apt install python3 "
                "python3-venv"
            )
        has = ", ".join(f"Python {one} on {arch}" for one, arch in remote.pythons)
        archs = {arch for _, arch in self._candidates}
        if not archs & {arch for _, arch in remote.pythons}:
            raise DeviceError(
                f"wrong architecture: the bundle is for {made}; the host has {has}"
            )
        raise DeviceError(
            f"wrong Python: the bundle is for {made}; the host has {has}. Build one "
            "with inv package.pi --python VERSION"
        )

    def _open(self, wanted: tuple[str, str]) -> Parcel:
        with self._lock:
            if wanted not in self._opened:
                folder = self._folder / "-".join(wanted)
                parcel = open_parcel(self._candidates[wanted], folder)
                if (parcel.python, parcel.arch) != wanted:
                    raise InputError(
                        f"{self._candidates[wanted]}: its name and its manifest differ"
                    )
                self._opened[wanted] = parcel
            return self._opened[wanted]


def find_bundles(
    folder: Path, model: str, pythons: tuple[str, ...]
) -> dict[tuple[str, str], Path]:
    """Find a build's bundles by their names.

    Args:
        folder: Such as build/MODEL/pi.
        model: The model's name.
        pythons: Versions to take; empty for all.

    Raises:
        InputError: If there is none.
    """
    name = re.compile(rf"{re.escape(model)}-pi-(\d+\.\d+)-([a-z0-9_]+)\.tar\.gz")
    found = {}
    for path in _archives(folder):
        match = name.fullmatch(path.name)
        if match and (not pythons or match[1] in pythons):
            found[match[1], match[2]] = path
    if not found:
        which = f" for Python {', '.join(pythons)}" if pythons else ""
        raise InputError(
            f"{folder} has no bundle of {model}{which}; build one with inv "
            f"package.pi --model {model}, or give --path BUNDLE"
        )
    return found


def _archives(folder: Path) -> Iterator[Path]:
    return folder.glob("*.tar.gz") if folder.is_dir() else iter(())
