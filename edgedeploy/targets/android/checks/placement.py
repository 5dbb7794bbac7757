"""How models lie in a package: can they be mapped on the device?"""

from __future__ import annotations

from edgedeploy.errors import FormatError
from edgedeploy.formats.protobuf import read_fields
from edgedeploy.results import Check
from edgedeploy.targets.android.checks.contents import Contents, PackagedFile
from edgedeploy.targets.android.checks.globs import matches_glob

# LiteRT refuses less on Arm. It takes 16 for granted, but zipalign, and with it Gradle
# and Play, gives stored files 4.
REQUIRED_BYTES = 4
ASSUMED_BYTES = 16
_CONFIG = "BundleConfig.pb"


def check_in_apk(file: PackagedFile) -> Check:
    """Check that a model of an APK is stored and aligned.

    Args:
        file: The model.
    """
    entry = file.entry
    if entry is None or not file.stored:
        return _check(
            file, False, "compressed; Android cannot map it (noCompress in Gradle)"
        )
    offset = entry.data_offset
    if offset % REQUIRED_BYTES:
        return _check(
            file,
            False,
            f"stored at offset {offset}, misaligned: no multiple of {REQUIRED_BYTES}; "
            "run zipalign -p 4 before signing",
        )
    detail = f"stored at offset {offset}, a multiple of {_alignment(offset)}"
    if offset % ASSUMED_BYTES:
        detail += f"; LiteRT assumes {ASSUMED_BYTES}, and zipalign gives no more than 4"
    return _check(file, True, detail)


def check_in_bundle(contents: Contents, file: PackagedFile) -> Check:
    """Check that an app bundle asks for a model to be stored.

    Args:
        contents: The bundle.
        file: The model.
    """
    suffix = f".{file.name.rpartition('.')[2]}"
    # bundletool matches the path inside the module, without the module's own name.
    path = file.name.partition("/")[2]
    named = [glob for glob in _uncompressed(contents) if matches_glob(glob, path)]
    return _check(
        file,
        bool(named),
        f"{_CONFIG} has packages store {', '.join(named)}"
        if named
        else f"{_CONFIG} does not list **{suffix} as uncompressed; its packages will "
        "compress the model (noCompress in Gradle)",
    )


def check_in_module(file: PackagedFile, kind: str) -> Check:
    """Say who decides for a library or a Gradle module.

    Args:
        file: The model.
        kind: What it lies in, such as "an AAR".
    """
    return _check(
        file,
        None,
        f"{kind} cannot say; the app has to (noCompress in its Gradle file)",
    )


def _uncompressed(contents: Contents) -> list[str]:
    file = contents.find(_CONFIG)
    if file is None:
        return []
    found = []
    try:
        for field, compression in read_fields(contents.read(file, 1 << 20)):
            if field != 3 or not isinstance(compression, bytes):
                continue
            for inner, glob in read_fields(compression):
                if inner == 1 and isinstance(glob, bytes):
                    found.append(glob.decode("utf-8", "replace"))
    except FormatError:
        return []
    return found


def _check(file: PackagedFile, passed: bool | None, detail: str) -> Check:
    return Check(
        level="file", name=f"{file.name} can be mapped", passed=passed, detail=detail
    )


def _alignment(offset: int) -> int:
    """The largest power of two, up to a 16 KiB page, that divides an offset."""
    return min(offset & -offset, 16384) if offset else 16384
