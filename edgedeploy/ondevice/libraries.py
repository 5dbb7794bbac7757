"""Which of a bundle's operator libraries this machine loads."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

from .bundle import hash_file
from .litert_abi import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

    from .delivered import Bundle


def machine_abi() -> str:
    """Name what native libraries this process can load, such as "linux-aarch64"."""
    machine = platform.machine()
    # A 32-bit system can run on a 64-bit kernel, which platform then names.
    return f"linux-{machine}" if sys.maxsize > 2**32 else f"linux-{machine}-32bit"


def find_libraries(bundle: Bundle) -> tuple[Path, ...]:
    """Give the libraries of a bundle's operators for this machine, checked.

    Args:
        bundle: The bundle.

    Returns:
        Paths of shared libraries; none where the models need none.

    Raises:
        OperatorError: If one is missing for this machine.
        BundleError: If one cannot be read or is not the contract's.
    """
    abi = machine_abi()
    found = []
    for operator in bundle.operators:
        if abi not in operator.libraries:
            there = ", ".join(sorted(operator.libraries)) or "none"
            raise OperatorError(
                f"{bundle.folder}: the models need the operator {operator.name}, which "
                f"this bundle has not for {abi} (it has {there}); package it again "
                "where a compiler for it is installed"
            )
        path, sha256 = operator.libraries[abi]
        if hash_file(path) != sha256:
            raise OperatorError(
                f"{path}: not the library that the contract names; install the bundle "
                "again"
            )
        found.append(path)
    return tuple(found)
