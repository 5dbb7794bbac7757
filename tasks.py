"""Tasks for `inv`: the same collection that the installed `edgedeploy` has."""

from edgedeploy.cli import namespace

__all__ = ["namespace"]
