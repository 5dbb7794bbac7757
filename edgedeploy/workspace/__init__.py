"""The build folder: paths, digests, atomic files, and stages that run once.

A stage records the digest of everything that went in and of every file that came
out. It is skipped when both are unchanged, so an interrupted build goes on at the
stage where it stopped, and a second build does nothing.
"""

from edgedeploy.workspace.build_folder import Workspace
from edgedeploy.workspace.digests import code_digest, file_digest, json_digest, stamp_of
from edgedeploy.workspace.files import (
    atomic_file,
    cache_folder,
    folder_bytes,
    make_folder,
    read_json,
    recall_json,
    write_bytes,
    write_json,
)

__all__ = [
    "Workspace",
    "atomic_file",
    "cache_folder",
    "code_digest",
    "file_digest",
    "folder_bytes",
    "json_digest",
    "make_folder",
    "read_json",
    "recall_json",
    "stamp_of",
    "write_bytes",
    "write_json",
]
