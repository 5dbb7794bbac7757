"""The table of what each kind of Android package takes."""

from __future__ import annotations

from edgedeploy.report import notation
from edgedeploy.report.data import ReportData, child, table


def tabulate_downloads(data: ReportData) -> list[dict[str, str]]:
    """List download and installed size of each kind of Android package.

    Args:
        data: The build's results.

    Returns:
        One entry a kind: "kind", "download", "brotli", "installed", "limit"; empty
        where nothing was measured.
    """
    rows = []
    for kind, size in table(data.android_sizes, "kinds").items():
        limit = notation.megabytes(child(size, "limit_bytes"), 0)
        words = str(child(size, "limit") or "")
        bounded = child(size, "limit_bytes") is not None
        rows.append(
            {
                "kind": str(kind),
                "download": notation.megabytes(child(size, "download_bytes")),
                "brotli": notation.megabytes(child(size, "download_brotli_bytes")),
                "installed": notation.megabytes(child(size, "installed_bytes")),
                "limit": f"{limit}, {words}" if bounded else words,
            }
        )
    return rows


def describe_downloads(data: ReportData) -> str:
    """Say where the limits are from, and why a size is missing."""
    source = str(child(data.android_sizes, "source") or "")
    # Several figures may lack for one reason.
    reasons = dict.fromkeys(map(str, table(data.android_sizes, "unmeasured").values()))
    return ". ".join([source, *reasons]) if source else ""
