"""Which hosts are meant: one on the command line, or a file of a fleet."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import InputError

MAX_HOSTS = 1000
_MAX_FILE_BYTES = 1 << 20
# The host that builds has this name in benchmark.json.
_RESERVED = "host"
# A leading hyphen would be an option of ssh; ssh itself refuses shell characters.
_DESTINATION = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*@)?[A-Za-z0-9_:][A-Za-z0-9_.:%-]*"
    r"|ssh://(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*@)?"
    r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.%a-z]+\])(?::[0-9]{1,5})?/?"
)
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host that ssh can reach.

    Attributes:
        destination: As ssh takes it: a name of ssh_config, user@host, or ssh://….
        alias: What the user calls it; "" where they gave no name.
    """

    destination: str
    alias: str = ""

    def __post_init__(self) -> None:
        """Refuse what ssh or a file name could misunderstand."""
        if not _DESTINATION.fullmatch(self.destination):
            raise InputError(
                "a host is user@host, a name of ssh_config, or ssh://user@host:port; "
                f"received {self.destination[:80]!r}"
            )
        if self.alias and not _ALIAS.fullmatch(self.alias):
            raise InputError(
                "a host's alias has up to 64 letters, digits, dots, _ and -; received "
                f"{self.alias[:80]!r}"
            )
        if self.alias == _RESERVED:
            raise InputError(
                f"{_RESERVED!r} is the machine that builds; give "
                f"{self.destination} another alias"
            )

    @property
    def name(self) -> str:
        """The alias, or else the destination."""
        return self.alias or self.destination


def chosen_hosts(host: str, hosts: str) -> tuple[Host, ...]:
    """Read --host or --hosts.

    Args:
        host: A destination, or "".
        hosts: Path of a file as `read_hosts` takes it, or "".

    Raises:
        InputError: If neither or both are given, or one is malformed.
    """
    if bool(host) == bool(hosts):
        raise InputError("give either --host user@host or --hosts FILE")
    return (Host(destination=host),) if host else read_hosts(Path(hosts))


def read_hosts(path: Path) -> tuple[Host, ...]:
    """Read a fleet.

    Args:
        path: Lines of `user@host [alias]` with `#` comments; or, where the name ends
            in .toml, a table `[hosts]` of `alias = "user@host"`.

    Returns:
        The hosts in the file's order, at least one and at most `MAX_HOSTS`.

    Raises:
        InputError: If the file cannot be read, is malformed, or names a host twice.
    """
    text = _read(path)
    pairs = _toml_hosts(path, text) if path.suffix == ".toml" else _lines(path, text)
    hosts: list[Host] = []
    for where, destination, alias in pairs:
        try:
            host = Host(destination=destination, alias=alias)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        taken = {one.name for one in hosts} | {one.destination for one in hosts}
        if host.name in taken or host.destination in taken:
            raise InputError(f"{where}: {host.name} ({host.destination}) occurs twice")
        hosts.append(host)
        if len(hosts) > MAX_HOSTS:
            raise InputError(f"{path}: over {MAX_HOSTS} hosts; split the file")
    if not hosts:
        raise InputError(f"{path}: no host; expected lines of user@host [alias]")
    return tuple(hosts)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > _MAX_FILE_BYTES:
        raise InputError(f"{path}: larger than any list of hosts is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason})") from error


def _lines(path: Path, text: str) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if len(words) > 2:
            raise InputError(
                f"{path}, line {number}: expected user@host [alias]; received "
                f"{line.strip()[:80]!r}"
            )
        if words:
            yield f"{path}, line {number}", words[0], "".join(words[1:])


def _toml_hosts(path: Path, text: str) -> Iterator[tuple[str, str, str]]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid TOML ({error})") from error
    table = document.get("hosts")
    if not isinstance(table, dict) or set(document) != {"hosts"}:
        raise InputError(f'{path}: expected one table [hosts] of alias = "user@host"')
    for alias, destination in table.items():
        if not isinstance(destination, str) or not alias:
            raise InputError(
                f'{path}: {alias!r} must be an alias = "user@host"; received '
                f"{str(destination)[:80]!r}"
            )
        yield f"{path}, {alias}", destination, alias
