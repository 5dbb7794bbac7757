"""Kotlin's compiler from npm, kept between runs."""

import shutil
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock
from registries import install_by_npm


def fetch_kotlin(version):
    """Give the path of a compiler of one version; skips where it cannot be had."""
    if not shutil.which("java"):
        pytest.skip("needs Java: apt-get install default-jre-headless")
    folder = Path(tempfile.gettempdir()) / f"edgedeploy-test-kotlin-{version}"
    folder.mkdir(exist_ok=True)
    program = folder / "node_modules" / "kotlin-compiler" / "bin" / "kotlinc"
    with FileLock(folder / ".lock"):
        if not program.is_file():
            install_by_npm(folder, f"kotlin-compiler@{version}")
    return program
