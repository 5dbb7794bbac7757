"""The code of an Android library."""

from __future__ import annotations

from edgedeploy.errors import FormatError
from edgedeploy.formats.zip import entries
from edgedeploy.results import Check
from edgedeploy.targets.android.checks.contents import Contents

_JAR = "classes.jar"
_LIMIT_BYTES = 256 << 20


def check_classes(contents: Contents) -> Check:
    """Tell whether apps get code with a library.

    Args:
        contents: The library.

    Returns:
        Passed with classes; neither passed nor failed without any, since a library may
        have assets alone; failed if nothing can be read of them.
    """
    file = contents.find(_JAR)
    try:
        found = entries(contents.read(file, _LIMIT_BYTES)) if file else ()
    except FormatError as error:
        return _check(False, f"no sound jar: {error}")
    count = sum(entry.name.endswith(".class") for entry in found)
    if not count:
        return _check(
            None,
            f"{'empty' if file else 'missing'}: apps get no code with this library, "
            "its assets alone. edgedeploy compiles its Kotlin where kotlinc is on PATH",
        )
    return _check(True, f"{count} classes")


def _check(passed: bool | None, detail: str) -> Check:
    return Check(level="file", name=_JAR, passed=passed, detail=detail)
