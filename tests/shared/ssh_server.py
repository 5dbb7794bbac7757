"""A real sshd on loopback, with a user of its own in a file system of its own.

As root, the server runs in a mount namespace: /home, /opt, /run and /etc/passwd there
are its own, so that the user, the shell and the disk can be whatever a test needs, and
nothing of this machine is touched.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

MISSING = (
    "a real sshd is missing: apt-get install openssh-server openssh-client, and run "
    "the tests as root (a private /home and /opt are mounted for it)"
)
USER = "pilot"
UID = 61234


def is_possible():
    """Whether this machine can run the server."""
    if os.geteuid() != 0 or not shutil.which("ssh") or not sshd_program():
        return False
    trial = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/opt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


def sshd_program():
    return shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


class Server:
    """One sshd with one user.

    Args:
        folder: For keys and configuration.
        shell: The user's login shell.
        home_kb: Size of /home; the disk that can be full.
        options: More lines of sshd_config.
        prepare: More lines of the script that lays the file system out.
    """

    def __init__(
        self, folder, *, shell="/bin/bash", home_kb=400_000, options=(), prepare=""
    ):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        for name in ("host_key", "user_key", "wrong_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f"]
            subprocess.run([*command, folder / name], check=True)
        self._write_config(options)
        self._write_ssh_config()
        (folder / "passwd").write_text(
            Path("/etc/passwd").read_text()
            + f"{USER}:*:{UID}:{UID}:pilot:/home/{USER}:{shell}\n"
        )
        script = folder / "start.sh"
        start = START.format(folder=folder, size=home_kb, **vars(self.Names))
        script.write_text(f"{start}{prepare}\n{SERVE.format(folder=folder)}")
        # No -f: unshare becomes sshd, so its id is the server's.
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-eu", script, sshd_program()],
            stdin=subprocess.DEVNULL,
            stdout=(folder / "sshd.out").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait()

    class Names:
        user = USER
        uid = UID

    @property
    def root(self):
        """The server's file system, as seen from here."""
        return Path(f"/proc/{self.process.pid}/root")

    @property
    def home(self):
        return self.root / "home" / USER

    @property
    def cache(self):
        return self.home / ".cache" / "edgedeploy"

    @property
    def config(self):
        """For `ssh -F`: the host is called `board`."""
        return self.folder / "ssh_config"

    def shell(self, command):
        """Run a command as root in the server's file system."""
        return subprocess.run(
            ["nsenter", "-t", str(self.process.pid), "-m", "sh", "-c", command],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def snapshot(self):
        """Every path in the user's home and in /opt, with what it holds."""
        found = {}
        for top in (self.home, self.root / "opt"):
            for path in sorted(top.rglob("*")):
                status = path.lstat()
                name = str(path).removeprefix(str(self.root))
                content = path.read_bytes() if path.is_file() else b""
                found[name] = (status.st_mode, status.st_size, hash(content))
        return found

    def cut_sessions(self):
        """Kill what serves the connections, as a lost network would.

        Returns:
            How many processes there were.
        """
        killed = 0
        for child in children(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                # The privileged half and the session's half of each connection.
                for process in (*children(child), child):
                    name = Path(f"/proc/{process}/comm").read_text().strip()
                    if name == "sshd":
                        os.kill(process, signal.SIGKILL)
                        killed += 1
        return killed

    def stop(self):
        for child in descendants(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def write_known_hosts(self, key="host_key"):
        public = (self.folder / f"{key}.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")

    def use_key(self, name):
        self._write_ssh_config(name)

    def _write_config(self, options):
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'host_key'}",
            "AuthorizedKeysFile /run/authorized_keys",
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PidFile none",
            "LogLevel VERBOSE",
            *options,
        ]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")

    def _write_ssh_config(self, key="user_key"):
        self.write_known_hosts()
        self.config.write_text(
            f"Host board board2 board3\n  HostName 127.0.0.1\n  Port {self.port}\n"
            f"  User {USER}\n  IdentityFile {self.folder / key}\n"
            "  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.folder / 'known_hosts'}\n"
            "  GlobalKnownHostsFile /dev/null\n"
            f"Host closed\n  HostName 127.0.0.1\n  Port {free_port()}\n"
        )

    def _wait(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        said = (self.folder / "sshd.out").read_text()
        raise RuntimeError(f"sshd did not start: {said}")


START = """\
mount --make-rprivate /
mount -t tmpfs -o size={size}k,mode=755 none /home
mount -t tmpfs -o mode=755 none /opt
mount -t tmpfs -o mode=755 none /run
mkdir -p /run/sshd /home/{user}
cp {folder}/user_key.pub /run/authorized_keys
chmod 644 /run/authorized_keys
chown {uid}:{uid} /home/{user}
mount --bind {folder}/passwd /etc/passwd
"""
SERVE = 'exec "$1" -D -e -f {folder}/sshd_config\n'


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid):
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def descendants(pid):
    found = []
    for child in children(pid):
        found += [*descendants(child), child]
    return found
