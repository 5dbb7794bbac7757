"""Class names for a network's outputs: from a label file, or as good as there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgedeploy.errors import InputError
from edgedeploy.formats.labels import disambiguate

BACKGROUND = "background"
_BACKGROUNDS = frozenset({BACKGROUND, "???", "dummy", "none", "unused"})
# The slim models of 2016 count a class before ImageNet's thousand.
_IMAGENET = 1000

Tell = Callable[[str], None]


def fit_labels(
    labels: Sequence[str], outputs: int, *, source: str, tell: Tell
) -> tuple[str, ...]:
    """Fit class names to a network's outputs.

    ImageNet's 1000 names go with 1001 outputs, whose first is "background", and a
    list with that name goes with the outputs without it. Equal names are numbered.

    Args:
        labels: In the order of the outputs, as read.
        outputs: How many there are.
        source: What to call the labels in a message.
        tell: Told of everything that was changed.

    Returns:
        As many unique labels as outputs.

    Raises:
        InputError: If there is no way to fit them.
    """
    found = tuple(labels)
    begins = found[0].lower() in _BACKGROUNDS
    if len(found) == _IMAGENET and outputs == _IMAGENET + 1 and not begins:
        tell(
            f"{source}: 1000 labels for 1001 outputs, so the network counts a class "
            f'"{BACKGROUND}" before ImageNet\'s; it was put first'
        )
        found = (BACKGROUND, *found)
    elif len(found) == outputs + 1 and begins:
        tell(
            f"{source}: {len(found)} labels for {outputs} outputs; the first, "
            f"{found[0]!r}, was left out, since the network has no such class"
        )
        found = found[1:]
    if len(found) != outputs:
        raise InputError(
            f"{source}: {len(found)} labels, but the network has {outputs} outputs; "
            "give one line a class, in the order of the outputs"
        )
    unique = disambiguate(found)
    changed = [
        f"{new!r} (line {number})"
        for number, (old, new) in enumerate(zip(found, unique, strict=True), start=1)
        if old != new
    ]
    if changed:
        tell(
            f"{source}: equal labels were told apart by a number: {', '.join(changed)}"
        )
    return unique


def labels_of_folders(images: Path | None, outputs: int) -> tuple[str, ...]:
    """Take a data set's folders as class names, as Keras and torchvision number them.

    Args:
        images: A folder with a folder a class, or None.
        outputs: How many classes the network has.

    Returns:
        The folders' names, sorted; empty where they are not as many as outputs.
    """
    if images is None or not images.is_dir():
        return ()
    names = sorted(
        path.name
        for path in images.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )
    return tuple(names) if len(names) == outputs else ()


def numbered_labels(outputs: int) -> tuple[str, ...]:
    """Class names where nobody gives any: class 0, class 1 and so on."""
    return tuple(f"class {number}" for number in range(outputs))
