"""What a file of a sweep weighs, stored and downloaded, and what could run it."""

from __future__ import annotations

import importlib
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from edgedeploy.quantize.palette import LINEAR

# By field, the Python package that compresses and how hard; deflate is Python's own.
PACKAGES = {"zstd_bytes": "zstandard", "brotli_bytes": "brotli"}
DEFLATE_LEVEL, ZSTD_LEVEL, BROTLI_QUALITY = 9, 19, 9


def sizes_of(data: bytes) -> dict[str, int | None]:
    """Size of a file as it is, and compressed in the ways of stores and servers.

    Args:
        data: The file.

    Returns:
        "size_bytes", "deflated_bytes", "zstd_bytes" and "brotli_bytes"; None where the
        Python package that compresses so is not installed.
    """
    # All three release the lock of Python's threads.
    with ThreadPoolExecutor(2) as threads:
        deflated, zstd, brotli = threads.map(
            lambda compress: compress(data), (_deflate, _zstd, _brotli)
        )
    return {
        "size_bytes": len(data),
        "deflated_bytes": deflated,
        "zstd_bytes": zstd,
        "brotli_bytes": brotli,
    }


def how_it_runs(scheme: str, bits: int) -> str:
    """Say what a device would do with such weights."""
    if scheme == "float32":
        return "float kernels"
    if scheme != LINEAR:
        return "packed, restored to float32 at load"
    if bits == 8:
        return "int8 kernels"
    if bits == 4:
        return "int4 kernels, fast in 1x1 convolutions and fully connected layers"
    wide, kernels = ("a byte", "int8") if bits > 4 else ("half a byte", "int4")
    return f"packed, restored at load; or {wide} each in {kernels} kernels"


def _deflate(data: bytes) -> int:
    return len(zlib.compress(data, DEFLATE_LEVEL))


def _zstd(data: bytes) -> int | None:
    module = _installed("zstandard")
    return module and len(module.ZstdCompressor(level=ZSTD_LEVEL).compress(data))


def _brotli(data: bytes) -> int | None:
    module = _installed("brotli")
    return module and len(module.compress(data, quality=BROTLI_QUALITY))


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
