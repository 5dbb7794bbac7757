"""Read a JavaScript object literal as data, without running any JavaScript.

The accepted language is what minifiers make of JSON: unquoted keys, `!0` and `!1`,
numbers such as `.5` and `1e3`, strings in either quote (ECMAScript 2023, sections
12.9.3 and 12.9.4). Expressions, templates, functions and names are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from edgedeploy.errors import WeightsError

DEPTH_CAP = 100
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<string>"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"
        |'[^'\\\r\n]*(?:\\.[^'\\\r\n]*)*')
    | (?P<number>-?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w$.]))
    | (?P<flag>![01](?![\w$.]))
    | (?P<name>[A-Za-z_$][\w$]*)
    | (?P<mark>[{}\[\]:,])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NAMES: dict[str, Any] = {"null": None, "true": True, "false": False}
Token = tuple[str, str, int]


def parse_literal(text: str, start: int, subject: str) -> Any:
    """Read the literal that begins at a position.

    Args:
        text: JavaScript.
        start: Where the literal's first character is.
        subject: Name of the file, for messages.

    Returns:
        dict, list, str, int, float, bool or None. Whole numbers are int, since
        JavaScript makes no difference.

    Raises:
        WeightsError: If it is not a literal, or nested too deep.
    """
    tokens = _tokenise(text, start, subject)
    try:
        return _parse_value(tokens, next(tokens), 0, subject)
    except StopIteration as error:
        raise WeightsError(f"{subject} ends within its object literal") from error


def _tokenise(text: str, start: int, subject: str) -> Iterator[Token]:
    at = start
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _refuse(subject, at, repr(text[at : at + 20]))
        if match.lastgroup != "space":
            yield match.lastgroup, match[0], at
        at = match.end()


def _refuse(subject: str, at: int, found: str) -> WeightsError:
    return WeightsError(
        f"{subject}: expected a plain object literal, found {found} at character {at}"
    )


def _parse_value(
    tokens: Iterator[Token], token: Token, depth: int, subject: str
) -> Any:
    kind, text, at = token
    if depth > DEPTH_CAP:
        raise _refuse(subject, at, "nesting without end")
    if text == "{" and kind == "mark":
        return _parse_object(tokens, depth, subject)
    if text == "[" and kind == "mark":
        return _parse_array(tokens, depth, subject)
    if kind == "string":
        return _unescape(text, at, subject)
    if kind == "number":
        return _parse_number(text, at, subject)
    if kind == "flag":
        return text == "!0"
    if kind == "name" and text in _NAMES:
        return _NAMES[text]
    raise _refuse(subject, at, repr(text))


def _parse_object(tokens: Iterator[Token], depth: int, subject: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    token = next(tokens)
    while token[1] != "}" or token[0] != "mark":
        kind, text, at = token
        if kind not in {"name", "string"}:
            raise _refuse(subject, at, repr(text))
        key = _unescape(text, at, subject) if kind == "string" else text
        if key in result:
            raise _refuse(subject, at, f"the key {key!r} a second time")
        colon = next(tokens)
        if colon[:2] != ("mark", ":"):
            raise _refuse(subject, colon[2], repr(colon[1]))
        result[key] = _parse_value(tokens, next(tokens), depth + 1, subject)
        token = _step_over_comma(tokens, "}", subject)
    return result


def _parse_array(tokens: Iterator[Token], depth: int, subject: str) -> list[Any]:
    result: list[Any] = []
    token = next(tokens)
    while token[:2] != ("mark", "]"):
        result.append(_parse_value(tokens, token, depth + 1, subject))
        token = _step_over_comma(tokens, "]", subject)
    return result


def _step_over_comma(tokens: Iterator[Token], end: str, subject: str) -> Token:
    token = next(tokens)
    if token[:2] == ("mark", ","):
        token = next(tokens)
        if token[:2] != ("mark", end):
            return token
    elif token[:2] == ("mark", end):
        return token
    raise _refuse(subject, token[2], repr(token[1]))


def _parse_number(text: str, at: int, subject: str) -> int | float:
    if len(text) > 40:
        raise _refuse(subject, at, "an absurdly long number")
    number = float(text)
    if abs(number) == float("inf"):
        raise _refuse(subject, at, f"the number {text}")
    whole = number.is_integer() and abs(number) < 2**53
    return int(number) if whole else number


def _unescape(text: str, at: int, subject: str) -> str:
    def replace(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        if code:
            return chr(int(code, 16))
        if match[3].isalnum() and match[3] not in _ESCAPED:
            raise _refuse(subject, at, f"the escape {match[0]!r}")
        return _ESCAPED.get(match[3], match[3])

    return _ESCAPE.sub(replace, text[1:-1])
