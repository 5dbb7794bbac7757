"""What making a variant took: time and memory of the child process that made it."""

from __future__ import annotations

import time
from typing import Any

from edgedeploy.ondevice.host import peak_rss_bytes


class Cost:
    """Begins to count where it is made."""

    def __init__(self) -> None:
        self._wall_s = time.perf_counter()
        self._cpu_s = time.process_time()

    def so_far(self) -> dict[str, Any]:
        """Read the clocks and the peak of memory.

        Returns:
            "wall_s" and "cpu_s" (of all threads) since the beginning, in seconds, and
            "peak_rss_bytes" of the whole process; None where the system does not tell.
        """
        return {
            "wall_s": round(time.perf_counter() - self._wall_s, 2),
            "cpu_s": round(time.process_time() - self._cpu_s, 2),
            "peak_rss_bytes": peak_rss_bytes(),
        }
