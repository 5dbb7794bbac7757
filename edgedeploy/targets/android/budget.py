"""What a download and an installed package will weigh, and Play's limits.

Limits: Play Console help, "Optimize your app's size and stay within Google Play app
size limits" (answer 9859372), as it read in November 2026; Play means compressed
download sizes, computes them itself, and says that its way is not quite bundletool's.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgedeploy.errors import PackageError
from edgedeploy.isolate import Progress, silent
from edgedeploy.targets.android.apk import MODEL_SUFFIX
from edgedeploy.targets.android.kinds import KINDS

SCHEMA = 1
SOURCE = "Google Play's size limits, November 2026"
_MEGABYTE = 1_000_000
LIMITS = {
    "base": ("the base module", 200 * _MEGABYTE),
    "pack": ("an asset pack or AI pack", 1_500 * _MEGABYTE),
}
NO_LIMIT = "none of Play's: it is installed or downloaded outside of Play"
NO_BROTLI = "the Python package brotli is not installed: pip install brotli"
_BROTLI_FIELDS = ("brotli_bytes", "download_brotli_bytes")
# Play's own level is not published; 6 is zlib's default, and 9 brings under 1 %.
_DEFLATE_LEVEL = 6
_BROTLI_QUALITY = 9
_PIECE_BYTES = 1 << 20
# A local header, a central header and two names; the signing block and the end record.
_ENTRY_BYTES = 30 + 46
_PACKAGE_BYTES = 12_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySize:
    """What one file takes.

    Attributes:
        name: Below the package.
        size_bytes: As it is.
        deflated_bytes: After deflate.
        brotli_bytes: After brotli; None where that is not installed.
    """

    name: str
    size_bytes: int
    deflated_bytes: int
    brotli_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSize:
    """What one kind of package takes.

    Attributes:
        download_bytes: What is downloaded, each file deflated.
        download_brotli_bytes: The same with brotli, or None.
        installed_bytes: What it takes on the device's disk.
        limit: What limits the download, in words.
        limit_bytes: How far; None for no limit.
    """

    download_bytes: int
    download_brotli_bytes: int | None
    installed_bytes: int
    limit: str
    limit_bytes: int | None


def measure_entries(
    files: Mapping[str, Path | bytes], *, progress: Progress = silent
) -> tuple[EntrySize, ...]:
    """Compress each file as a store would on the way to the device.

    Args:
        files: Contents or their files by name.
        progress: Called with the files measured and their number.

    Raises:
        PackageError: If a file cannot be read.
    """
    found = []
    for done, (name, source) in enumerate(sorted(files.items()), start=1):
        deflater = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -15)
        brotli = _brotli()
        size = deflated = brotlied = 0
        for piece in _pieces(name, source):
            size += len(piece)
            deflated += len(deflater.compress(piece))
            brotlied += len(brotli.process(piece)) if brotli else 0
        found.append(
            EntrySize(
                name=name,
                size_bytes=size,
                deflated_bytes=deflated + len(deflater.flush()),
                brotli_bytes=brotlied + len(brotli.finish()) if brotli else None,
            )
        )
        progress(done, len(files))
    return tuple(found)


def size_kind(
    kind: str, sizes: tuple[EntrySize, ...], *, delivery: str = "install-time"
) -> KindSize:
    """Add up what a kind of package takes.

    Args:
        kind: A name of `KINDS`.
        sizes: Its files.
        delivery: When Play delivers a pack.
    """
    limit, limit_bytes = LIMITS.get(KINDS[kind].play, (NO_LIMIT, None))
    frame = _PACKAGE_BYTES + sum(_ENTRY_BYTES + 2 * len(one.name) for one in sizes)
    brotlied = [one.brotli_bytes for one in sizes]
    # A pack that comes later is unpacked into files; a package keeps what it deflated.
    unpacked = kind == "update" or (
        KINDS[kind].play == "pack" and delivery != "install-time"
    )
    installed = sum(
        one.size_bytes
        if unpacked or one.name.endswith(MODEL_SUFFIX)
        else one.deflated_bytes
        for one in sizes
    )
    return KindSize(
        download_bytes=frame + sum(one.deflated_bytes for one in sizes),
        download_brotli_bytes=frame + sum(n for n in brotlied if n is not None)
        if None not in brotlied
        else None,
        installed_bytes=installed + (0 if unpacked else frame),
        limit=limit,
        limit_bytes=limit_bytes,
    )


def check_limit(kind: str, size: KindSize, *, limit_bytes: int | None = None) -> None:
    """Refuse what Play would refuse.

    Args:
        kind: A name of `KINDS`.
        size: What it takes.
        limit_bytes: Another limit than Play's.

    Raises:
        PackageError: If the download is larger than the limit.
    """
    limit = size.limit_bytes if limit_bytes is None else limit_bytes
    if limit is not None and size.download_bytes > limit:
        raise PackageError(
            f"{kind}: about {size.download_bytes / _MEGABYTE:.1f} MB to download; "
            f"{size.limit} may have {limit / _MEGABYTE:g} MB ({SOURCE}). Leave float32 "
            f"out with --only, or take {_roomier(kind)}"
        )


def describe_sizes(
    sizes: tuple[EntrySize, ...], kinds: Mapping[str, KindSize]
) -> dict[str, Any]:
    """Give the sizes as JSON values: "entries", "kinds", "source", "unmeasured"."""
    missing = any(one.brotli_bytes is None for one in sizes)
    return {
        "schema": SCHEMA,
        "source": SOURCE,
        "entries": [asdict(one) for one in sizes],
        "kinds": {name: asdict(size) for name, size in kinds.items()},
        "unmeasured": dict.fromkeys(_BROTLI_FIELDS, NO_BROTLI) if missing else {},
    }


def has_brotli() -> bool:
    """Whether brotli can be measured here."""
    return _brotli() is not None


def _roomier(kind: str) -> str:
    return "--kind asset-pack" if KINDS[kind].play == "base" else "a smaller recipe"


def _brotli() -> Any:
    try:
        import brotli
    except ImportError:
        return None
    return brotli.Compressor(quality=_BROTLI_QUALITY)


def _pieces(name: str, source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    try:
        with source.open("rb") as stream:
            while piece := stream.read(_PIECE_BYTES):
                yield piece
    except OSError as error:
        raise PackageError(f"{name}: cannot be read: {error.strerror}") from error
