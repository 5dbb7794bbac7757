"""Kotlin's compiler from npm, kept between runs."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock


def fetch_kotlin(version):
    """Give the path of a compiler of one version; skips where it cannot be had."""
    if not shutil.which("java"):
        pytest.skip("needs Java: apt-get install default-jre-headless")
    if not shutil.which("npm"):
        pytest.skip("needs npm to fetch Kotlin's compiler: apt-get install npm")
    folder = Path(tempfile.gettempdir()) / f"edgedeploy-test-kotlin-{version}"
    folder.mkdir(exist_ok=True)
    program = folder / "node_modules" / "kotlin-compiler" / "bin" / "kotlinc"
    with FileLock(folder / ".lock"):
        if not program.is_file():
            package = f"kotlin-compiler@{version}"
            done = subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", package],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(
                    f"npm does not give {package}: {done.stderr.strip()[-200:]}"
                )
    return program
