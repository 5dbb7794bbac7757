r"""The globs of an app bundle's configuration, as bundletool matches them.

The syntax is that of java.nio.file.FileSystem.getPathMatcher: `*` and `?` stay within
a folder, `**` crosses folders, `[a-z]`, `[!a-z]`, `{one,two}`, and `\` quotes what
follows. Case matters, so Gradle writes `**.[tT][fF][lL][iI][tT][eE]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgedeploy.errors import FormatError

# Somebody's bundle may hold anything; these are far above what builds write.
MAX_GLOB = 256
MAX_PATH = 4096

Step = Callable[[str, set[int]], set[int]]


def matches_glob(glob: str, path: str) -> bool:
    """Whether a glob names a path.

    Args:
        glob: As the configuration says.
        path: With forward slashes.

    Returns:
        False, too, for a glob that is malformed or longer than `MAX_GLOB` characters,
        and for a path longer than `MAX_PATH`.
    """
    if len(glob) > MAX_GLOB or len(path) > MAX_PATH:
        return False
    try:
        steps, _ = _read_steps(iter(glob), grouped=False)
    except FormatError:
        return False
    return len(path) in _walk(steps, path, {0})


def _walk(steps: tuple[Step, ...], path: str, starts: set[int]) -> set[int]:
    """Where in a path the steps can end that begin at one of the starts.

    All ends at once, so no glob takes longer than its length times the path's.
    """
    for step in steps:
        starts = step(path, starts)
    return starts


def _read_steps(
    characters: Iterator[str], *, grouped: bool
) -> tuple[tuple[Step, ...], str]:
    """Read up to the end of the glob, or of a choice in braces, and give that end."""
    steps: list[Step] = []
    previous = ""
    for character in characters:
        if character == "*":
            if previous == "*":
                steps[-1] = _cross_folders
                previous = "**"
                continue
            steps.append(_stay_in_folder)
        elif grouped and character in ",}":
            return tuple(steps), character
        else:
            steps.append(_read_step(character, characters, grouped=grouped))
        previous = character
    if grouped:
        raise FormatError("a glob's brace is not closed")
    return tuple(steps), ""


def _read_step(character: str, characters: Iterator[str], *, grouped: bool) -> Step:
    if character == "?":
        return _one(lambda found: found != "/")
    if character == "[":
        return _read_class(characters)
    if character == "{":
        if grouped:
            raise FormatError("a glob's brace holds another")
        return _read_choices(characters)
    if character == "\\":
        character = next(characters, "")
        if not character:
            raise FormatError("a glob ends with a backslash")
    return _one(lambda found: found == character)


def _read_choices(characters: Iterator[str]) -> Step:
    choices = []
    end = ","
    while end == ",":
        steps, end = _read_steps(characters, grouped=True)
        choices.append(steps)
    return lambda path, starts: {
        stop for steps in choices for stop in _walk(steps, path, starts)
    }


def _read_class(characters: Iterator[str]) -> Step:
    content = []
    for character in characters:
        if character == "]":
            break
        content.append(character)
    else:
        raise FormatError("a glob's bracket is not closed")
    negated = content[:1] == ["!"]
    if negated:
        del content[0]
    if not content:
        raise FormatError("a glob's bracket is empty")
    ranges = []
    while content:
        if len(content) >= 3 and content[1] == "-":
            ranges.append((content[0], content[2]))
            del content[:3]
        else:
            ranges.append((content[0], content[0]))
            del content[0]
    return _one(
        lambda found: (
            found != "/"
            and any(low <= found <= high for low, high in ranges) != negated
        )
    )


def _one(accepts: Callable[[str], bool]) -> Step:
    return lambda path, starts: {
        start + 1 for start in starts if start < len(path) and accepts(path[start])
    }


def _stay_in_folder(path: str, starts: set[int]) -> set[int]:
    stops = set(starts)
    for position, character in enumerate(path):
        if position in stops and character != "/":
            stops.add(position + 1)
    return stops


def _cross_folders(path: str, starts: set[int]) -> set[int]:
    return set(range(min(starts), len(path) + 1)) if starts else set()
