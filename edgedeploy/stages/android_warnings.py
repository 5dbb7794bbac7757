"""What to know of Android packages before they are shipped."""

from __future__ import annotations

from edgedeploy.stages.context import Context
from edgedeploy.targets.android.kotlin_classes import compiler_version

NO_CLASSES = (
    "the AAR has no classes: kotlinc is not on PATH, so its Kotlin was not compiled; "
    "an app gets the model alone, and takes the Kotlin from the -sources.jar beside it"
)
_BY_DEBUG_KEY = {
    "aab": "the app bundle is signed with this machine's debug key, and Play would tie "
    "your app to it; give your upload key with --keystore",
    "update": "the update is signed with this machine's debug key; apps that trust its "
    "update-key.der take updates of that key alone, and it may be lost with this "
    "machine; give a key that you keep with --keystore",
}


def warn_of_android(context: Context) -> None:
    """Say what the packages that were asked for lack to be shipped.

    Args:
        context: The build.
    """
    options = context.options
    for kind, line in _BY_DEBUG_KEY.items():
        if kind in options.android_kinds and options.keystore is None:
            context.voice.warn(line)
    if "aar" in options.android_kinds and compiler_version() is None:
        context.voice.warn(NO_CLASSES)
