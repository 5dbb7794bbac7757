"""A dask cluster on this machine, whose processes can be killed one by one."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Cluster:
    """A scheduler and its workers, each a process of its own on this machine."""

    def __init__(self, folder):
        self.folder = folder
        self.workers = {}
        self.file = folder / "scheduler.json"
        flags = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self.start("scheduler", *flags)
        self.address = json.loads(self.wait(self.file.read_text))["address"]

    def start(self, role, *flags, code=ROOT, name="scheduler"):
        command = [sys.executable, "-m", "dask", role, "--scheduler-file", self.file]
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(
                [*map(str, command), *flags],
                env=os.environ
                | {"PYTHONPATH": str(code), "PYTHONSAFEPATH": "1"}
                # Long enough that `executed` sees every task.
                | {"DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "1000000"},
                cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip

    def add(self, name, code=ROOT):
        flags = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name]
        flags += ["--host", "127.0.0.1", "--local-directory", str(self.folder / name)]
        self.workers[name] = self.start("worker", *flags, code=code, name=name)

    def ready(self, count):
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)

    def executed(self):
        """How many tasks workers carried out, those that were lost again included."""
        from distributed import Client

        def count(dask_scheduler):
            moves = [entry[1:3] for entry in dask_scheduler.transition_log]
            return sum(move == ("processing", "memory") for move in moves)

        with Client(self.address, set_as_default=False) as client:
            return client.run_on_scheduler(count)

    def wait(self, read):
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                text = read()
                if text.endswith("}"):
                    return text
            assert time.monotonic() < deadline, "the scheduler does not start"
            time.sleep(0.05)

    def close(self):
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.wait()
