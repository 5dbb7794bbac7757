"""Which addresses may be fetched from, and whether anybody is there."""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from urllib.parse import urlsplit, urlunsplit

from edgedeploy.errors import FetchError, InputError
from edgedeploy.specs import HttpsSource


def resolve_mirror(source: HttpsSource) -> tuple[str, bool]:
    """Apply the source's mirror variable, if it is set.

    Args:
        source: What is to be fetched.

    Returns:
        The address, and whether it is a mirror that the user named.

    Raises:
        InputError: If the variable holds no http(s) address.
    """
    mirror = os.environ.get(source.mirror_variable, "").strip()
    if not mirror:
        return source.url, False
    try:
        parts = urlsplit(mirror)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise InputError(
            f"{source.mirror_variable} should hold the base address of a mirror, "
            f"https://host/folder; it holds {mirror!r}"
        )
    last = urlsplit(source.url).path.rsplit("/", 1)[-1]
    path = f"{parts.path.rstrip('/')}/{last}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), True


def check_scheme(url: str, *, plain_http: bool, previous: str | None = None) -> None:
    """Refuse addresses whose answers anybody on the way could change.

    Args:
        url: About to be asked.
        plain_http: Whether the user named a mirror, so that http is theirs to choose.
        previous: The address that redirected here, if one did.

    Raises:
        FetchError: If the address may not be used.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise FetchError(f"{url!r} is not an address: {error}") from error
    if not host or parts.scheme not in {"http", "https"}:
        raise FetchError(f"{redact(url)} is not an https address")
    if parts.scheme == "https":
        return
    if previous is not None and urlsplit(previous).scheme == "https":
        raise FetchError(
            f"{redact(previous)} redirects from https to {redact(url)}, where the "
            f"answer could be changed on the way; refused"
        )
    if not (plain_http or is_loopback(host)):
        raise FetchError(f"{redact(url)} is plain http; expected https")


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def redact(url: str) -> str:
    """Take password and query (signed addresses carry keys there) out of an address."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname or ""
    except ValueError:
        return "an unreadable address"
    host = f"[{host}]" if ":" in host else host
    shown = urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", ""))
    return "".join(c if c.isprintable() else "?" for c in shown)


def probe(url: str, *, deadline_s: float) -> None:
    """Find out quickly whether anybody listens at an address, or at its proxy.

    A connect timeout counts for each of a name's addresses, of which large hosts
    have a dozen, and none limits the name's look-up; so both run in a thread that
    is left behind at the deadline.

    Args:
        url: About to be asked.
        deadline_s: Seconds for look-up and connection together.

    Raises:
        OSError: Nobody listens; `TimeoutError` at the deadline.
    """
    host, port = _find_peer(url)
    outcome: list[OSError | None] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=deadline_s).close()
        except (OSError, UnicodeError) as error:
            outcome.append(error if isinstance(error, OSError) else OSError(str(error)))
        else:
            outcome.append(None)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(deadline_s)
    if not outcome:
        raise TimeoutError(f"{host} gave no sign of life in {deadline_s:g} s")
    if outcome[0] is not None:
        raise outcome[0]


def _find_peer(url: str) -> tuple[str, int]:
    import requests.utils

    proxies = requests.utils.get_environ_proxies(url, no_proxy=None)
    proxy = requests.utils.select_proxy(url, proxies)
    if proxy:
        url = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(url)
    defaults = {"https": 443, "http": 80, "socks5": 1080, "socks5h": 1080}
    return parts.hostname or "", parts.port or defaults.get(parts.scheme, 80)
