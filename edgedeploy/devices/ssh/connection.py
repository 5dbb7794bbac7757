"""One connection a host: a master that logs in once, and scripts run through it.

The remote side needs a POSIX sh, whatever the login shell is: the command line that
the login shell sees has no character that csh, fish or sh read differently, and the
script itself comes through standard input. Banners are told from answers by a
nonce, and a dropped connection from a finished script by the end mark.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO

from edgedeploy.devices.ssh.exchange import MAX_ANSWER_BYTES, Send, exchange
from edgedeploy.devices.ssh.explain import explain, last_line
from edgedeploy.devices.ssh.hosts import Host
from edgedeploy.errors import DeviceError, InputError

LOGIN_TIMEOUT_S = 60.0
_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "LogLevel=ERROR",
)
# A Unix socket's path has 108 bytes, and ssh adds a suffix of 17 while binding.
_MAX_SOCKET_PATH = 88
_POLL_S = 0.02
_BROKEN = 255


class ConnectionLostError(DeviceError):
    """The connection broke after the login; trying again may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a script gave back.

    Attributes:
        text: Its standard output.
        errors: What came on standard error, the login shell's included.
        code: Its exit code.
    """

    text: str
    errors: str
    code: int

    @property
    def last_words(self) -> str:
        """The last line of the errors, or else of the output."""
        return last_line(self.errors if self.errors.strip() else self.text)


class Switchboard:
    """Opens connections, and can end all of them from another thread.

    Args:
        config: A file for `ssh -F`, or None for the user's own configuration.

    Raises:
        InputError: If the file is missing.
        DeviceError: If this machine has no ssh.
    """

    def __init__(self, config: Path | None = None) -> None:
        program = shutil.which("ssh")
        if program is None:
            raise DeviceError("ssh was not found; apt install openssh-client")
        if config is not None and not config.is_file():
            raise InputError(f"{config}: no such ssh configuration")
        self._command = [program, *(["-F", str(config)] if config else [])]
        self._open: set[Connection] = set()
        self._lock = threading.Lock()
        self._ended = False

    @contextlib.contextmanager
    def connect(self, host: Host) -> Iterator[Connection]:
        """Log in to a host.

        Raises:
            DeviceError: If that does not work; the message says why.
        """
        with tempfile.TemporaryDirectory(prefix="edge-") as folder:
            socket = Path(folder) / "s"
            if len(str(socket)) > _MAX_SOCKET_PATH:
                raise InputError(f"TMPDIR is too long for a socket: {socket.parent}")
            connection = Connection(self._command, host, socket)
            with self._lock:
                if self._ended:
                    raise DeviceError(f"{host.name}: interrupted")
                self._open.add(connection)
            try:
                connection.log_in()
                yield connection
            finally:
                connection.close()
                with self._lock:
                    self._open.discard(connection)

    def close(self) -> None:
        """End all connections, and let no new one begin."""
        with self._lock:
            self._ended = True
            for connection in self._open:
                connection.close()


class Connection:
    """A login on a host; made by `Switchboard.connect`.

    Attributes:
        host: Whose it is.
    """

    def __init__(self, command: list[str], host: Host, socket: Path) -> None:
        self.host = host
        options = [word for option in _OPTIONS for word in ("-o", option)]
        self._command = [*command, *options, "-S", str(socket)]
        self._socket = socket
        self._processes: list[subprocess.Popen[bytes]] = []

    def log_in(self) -> None:
        """Start the master and wait until it is logged in.

        Raises:
            DeviceError: If the host cannot be reached or refuses.
        """
        # -M would ask before each use if ssh_config says so; =yes does not.
        words = [*self._command, "-o", "ControlMaster=yes", "-N", "--"]
        with tempfile.TemporaryFile() as log:
            master = self._start([*words, self.host.destination], stderr=log)
            deadline = time.monotonic() + LOGIN_TIMEOUT_S
            while not self._socket.exists():
                if master.poll() is not None:
                    log.seek(0)
                    said = log.read(MAX_ANSWER_BYTES).decode(errors="replace")
                    raise DeviceError(f"{self.host.name}: {explain(said)}")
                if time.monotonic() > deadline:
                    raise DeviceError(
                        f"{self.host.name}: no login within {LOGIN_TIMEOUT_S:.0f} s; "
                        "check power and network"
                    )
                time.sleep(_POLL_S)

    def run(
        self,
        script: str,
        values: Mapping[str, str] | None = None,
        *,
        send: Send | bytes = b"",
        timeout_s: float,
    ) -> Answer:
        """Run one of our scripts there, in a POSIX shell.

        Args:
            script: Its name in scripts/, without ".sh".
            values: Variables that it reads.
            send: Its standard input, or what writes it.
            timeout_s: After which it is given up.

        Returns:
            What it gave back.

        Raises:
            ConnectionLostError: If the connection broke before it ended.
            DeviceError: If it refuses, takes too long, or no shell runs there.
        """
        nonce = secrets.token_hex(16)
        text = compose_script(script, values or {}, nonce)
        # `dd` takes no byte more than asked for, so the rest is the script's own
        # input; a shell that reads its script itself may read ahead.
        start = f"/bin/sh -c 'eval \"$(dd bs=1 count={len(text)} 2>/dev/null)\"'"
        words = [*self._command, "-o", "ControlMaster=no", "-T", "--"]
        process = self._start(
            [*words, self.host.destination, start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said = exchange(process, text, send, timeout_s)
        self._processes.remove(process)
        if said is None:
            raise DeviceError(
                f"{self.host.name}: {script} did not end within {timeout_s:.0f} s"
            )
        return self._answer(process.returncode, nonce, *said)

    def close(self) -> None:
        """End the master and all that runs through it."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(
        self,
        words: list[str],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        stderr: int | IO[bytes],
    ) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C is ours to handle, and no terminal is there
        # to ask for a password on.
        process = subprocess.Popen(
            words, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )
        self._processes.append(process)
        return process

    def _answer(self, code: int, nonce: str, said: str, wrong: str) -> Answer:
        match = re.search(
            rf"@@{nonce} begin\n(.*?)\n@@{nonce} end (\d+)\n", said, re.DOTALL
        )
        if match is None:
            raise self._no_answer(code, f"@@{nonce} begin" in said, said, wrong)
        for line in match[1].splitlines():
            if line.startswith("refused "):
                raise DeviceError(f"{self.host.name}: {line.removeprefix('refused ')}")
        return Answer(text=match[1], errors=wrong, code=int(match[2]))

    def _no_answer(self, code: int, begun: bool, said: str, wrong: str) -> DeviceError:
        if begun or code in (_BROKEN, -15) or self._processes[0].poll() is not None:
            return ConnectionLostError(
                f"{self.host.name}: the connection dropped; run the same command "
                "again to go on from there"
            )
        words = last_line(wrong if wrong.strip() else said)
        return DeviceError(
            f"{self.host.name}: its login shell does not run /bin/sh; it said: {words}"
        )


def compose_script(script: str, values: Mapping[str, str], nonce: str) -> bytes:
    """Write a script with its variables and the marks around its output.

    Args:
        script: Its name in scripts/, without ".sh".
        values: Variables by name.
        nonce: What no banner can guess.
    """
    body = files(__package__).joinpath(f"scripts/{script}.sh").read_text("utf-8")
    settings = "".join(f"{name}={shlex.quote(text)}\n" for name, text in values.items())
    return (
        f"printf '\\n@@{nonce} begin\\n'\n"
        "(\nset -u\nLC_ALL=C\nexport LC_ALL\nunset CDPATH ENV\n"
        "refuse() { printf 'refused %s\\n' \"$*\"; exit 3; }\n"
        f"{settings}{body}\n)\n"
        f"printf '\\n@@{nonce} end %d\\n' \"$?\"\n"
    ).encode()
