"""The oldest runtime that has a version of an operator; the facts are of `formats`."""

from edgedeploy.formats.operator_versions import newest, runtime_since

__all__ = ["newest", "runtime_since"]
