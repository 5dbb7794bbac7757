"""Folders that hold some files and no others, with their sums beside them."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from edgedeploy.targets.content import digest_source
from edgedeploy.workspace import atomic_file, write_bytes

# As coreutils' sha256sum writes and checks it.
SUMS = "SHA256SUMS"


def write_tree(
    folder: Path, files: Mapping[str, Path | bytes], *, keep: Collection[str] = ()
) -> None:
    """Make a folder hold some files and no others.

    Each file appears whole or not at all.

    Args:
        folder: Made where it is missing.
        files: Contents or their files, by name with forward slashes.
        keep: Names of files that are there already and stay.

    Raises:
        WorkspaceError: If the folder or the disk does not take them.
    """
    wanted = {folder / name: source for name, source in files.items()}
    kept = {folder / name for name in keep}
    for path, source in wanted.items():
        if isinstance(source, bytes):
            write_bytes(path, source)
            continue
        with atomic_file(path) as temporary:
            shutil.copyfile(source, temporary)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in wanted and path not in kept:
            path.unlink()


def with_sums(files: Mapping[str, Path | bytes]) -> dict[str, Path | bytes]:
    """Add a file of SHA-256 sums, which `sha256sum -c` and `verify` check.

    Args:
        files: Contents or their files by name.
    """
    lines = [
        f"{digest_source(name, source)[0]}  {name}\n"
        for name, source in sorted(files.items())
    ]
    return {**files, SUMS: "".join(lines).encode()}


def write_sum(path: Path) -> None:
    """Write a file's SHA-256 sum beside it, as `sha256sum` does.

    Args:
        path: The file; ".sha256" is added to its name.

    Raises:
        WorkspaceError: If the folder or the disk does not take it.
    """
    digest = digest_source(path.name, path)[0]
    write_bytes(
        path.with_name(f"{path.name}.sha256"), f"{digest}  {path.name}\n".encode()
    )
