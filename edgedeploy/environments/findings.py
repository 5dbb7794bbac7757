"""Which converters' environments this machine has, in the doctor's words."""

from __future__ import annotations

from edgedeploy.doctor import Finding
from edgedeploy.environments.install import find
from edgedeploy.environments.table import ENVIRONMENTS


def converters() -> tuple[Finding, ...]:
    """Look for each environment.

    Returns:
        One finding each; a missing one is no error.
    """
    found = []
    for environment in ENVIRONMENTS.values():
        installed = find(environment)
        found.append(
            Finding(
                name=f"converter {environment.name}",
                present=installed is not None,
                detail=environment.converter if installed else "not installed",
                cost=f"no {environment.reads}",
                remedy=f"inv doctor --install {environment.name} ({environment.sizes})",
            )
        )
    return tuple(found)
