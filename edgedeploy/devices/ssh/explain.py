"""What ssh says when it fails, as one line that says what to do."""

from __future__ import annotations

import re

# (what OpenSSH's client prints, what it means and what to do next). The first match
# counts, so a cause stands before what follows from it.
_REASONS = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key is not the one in known_hosts; if the system was installed "
        "anew, check the new fingerprint and remove the old entry with ssh-keygen -R",
    ),
    (
        r"Host key verification failed|host key is known for|HOST IDENTIFICATION",
        "its host key is unknown; connect once by hand with ssh, compare the "
        "fingerprint and accept it",
    ),
    (
        r"Permission denied \(",
        "it accepts none of your keys; ssh-copy-id puts yours there, and ssh-add "
        "unlocks one with a passphrase",
    ),
    (
        r"Too many authentication failures",
        "too many keys were tried; name the right one with IdentityFile in ssh_config",
    ),
    (
        r"Could not resolve hostname",
        "no such host name; check the spelling and the network",
    ),
    (
        r"Connection refused",
        "nothing listens for ssh there; switch ssh on (sudo systemctl enable --now "
        "ssh) and check the port",
    ),
    (
        r"timed out|No route to host|Network is unreachable|Host is down",
        "cannot be reached; check power, address and network",
    ),
    (
        r"Bad owner or permissions|Bad configuration option|Can't open user config|"
        r"terminating, \d+ bad configuration",
        "ssh refuses its own configuration",
    ),
    (
        r"kex_exchange_identification|Connection reset|Connection closed|Broken pipe|"
        r"banner exchange",
        "closed the connection before the login; look at its log (journalctl -u ssh)",
    ),
)
_NOISE = re.compile(r"@{5,}|\s*\Z|Warning: ")


def explain(said: str) -> str:
    """Say in one line why ssh did not connect.

    Args:
        said: What ssh printed on its standard error.
    """
    for pattern, meaning in _REASONS:
        if re.search(pattern, said):
            if meaning.endswith("configuration"):
                return f"{meaning}: {last_line(said)}"
            return meaning
    return f"ssh could not connect: {last_line(said)}"


def last_line(said: str) -> str:
    """The last line that says something, or a word for silence."""
    lines = [line.strip() for line in said.splitlines() if not _NOISE.match(line)]
    # What a stranger's machine prints must not steer our terminal.
    text = "".join(c for c in (lines or ["no reason was given"])[-1] if c.isprintable())
    return text[:200]
