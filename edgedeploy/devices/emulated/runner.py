"""Run Arm programs: one program by itself, or all of a system behind a closed door."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.devices.emulated import tracer as tracing
from edgedeploy.devices.emulated.arm_root import ArmRoot
from edgedeploy.devices.emulated.cpus import Cpu, describe_cpu
from edgedeploy.devices.emulated.qemu import PROGRAM, Qemu
from edgedeploy.devices.emulated.tracer import Tracer
from edgedeploy.devices.emulated.unavailable import Unavailable
from edgedeploy.devices.processes import Job, run
from edgedeploy.errors import DeviceError, WorkspaceError

# Where the desk's programs lie in the emulated system.
TOOLS = ".desk"
_NODES = ("null", "zero", "full", "random", "urandom")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_COPY_S, _PROBE_S = 600.0, 60.0
_NAMESPACES = (
    *("unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork"),
    *("--kill-child", "--propagation", "private"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """What one Arm program sees of its system: libraries and processor.

    Attributes:
        folder: For qemu's -L.
        qemu: The emulator.
        cpu: The processor.
    """

    folder: Path
    qemu: Qemu
    cpu: Cpu

    def command(self, program: str, *arguments: str) -> tuple[str, ...]:
        """Give the command that runs a program of the root.

        Args:
            program: Path in the root, such as "/usr/bin/python3.11".
            *arguments: Paths among them are this machine's.
        """
        return (
            *(str(self.qemu.path), "-cpu", self.cpu.name, "-L", str(self.folder)),
            *(str(self.folder) + program, *arguments),
        )


@contextlib.contextmanager
def prefix(root: ArmRoot, qemu: Qemu, cpu: Cpu) -> Iterator[Prefix]:
    """Lay a view of a root out in which /proc/cpuinfo is the processor's.

    LiteRT asks there which instructions it may use; an older qemu would show it the
    desk's processor, at which it crashes.
    """
    with tempfile.TemporaryDirectory(prefix="edgedeploy-prefix-") as name:
        folder = Path(name)
        for entry in sorted(root.folder.iterdir()):
            if entry.name not in ("proc", "sys", "dev", "tmp"):
                (folder / entry.name).symlink_to(entry)
        describe_cpu(folder, cpu)
        yield Prefix(folder=folder, qemu=qemu, cpu=cpu)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatedSystem:
    """A whole Arm system of its own, without a network.

    Attributes:
        folder: Its root, a copy that may be changed.
        qemu: The emulator.
        cpu: The processor.
    """

    folder: Path
    qemu: Qemu
    cpu: Cpu

    def command(
        self,
        *arguments: str,
        folder: str = "/root",
        environment: Mapping[str, str] | None = None,
    ) -> tuple[str, ...]:
        """Give the command that runs a program in the system.

        It works in namespaces of its own: no network but an unused loopback, no other
        processes, and mounts that nobody else sees. When it ends, so does everything
        that it started.

        Args:
            *arguments: Program and arguments; every path is the system's.
            folder: Working folder in the system.
            environment: Variables beside PATH, HOME and LANG.
        """
        known = {
            "PATH": _PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "PROOT_TMP_DIR": f"/{TOOLS}",
        } | dict(environment or {})
        tools = f"/{TOOLS}"
        inside = (
            *("env", "-i", *(f"{name}={value}" for name, value in known.items())),
            # env looks programs up before chroot: the desk's chroot.
            *("/usr/sbin/chroot", str(self.folder)),
            *(f"{tools}/{tracing.LOADER}", "--library-path", tools),
            f"{tools}/{tracing.PROGRAM}",
            *("-q", f"{tools}/{PROGRAM} -cpu {self.cpu.name}"),
            *("-r", "/", "-w", folder, *arguments),
        )
        script = f"{_mounts(self.folder)}exec {shlex.join(inside)}\n"
        return (*_namespaces(), "sh", "-euc", script)


def _mounts(root: Path) -> str:
    where = shlex.quote(str(root))
    lines = [f"mount -t proc proc {where}/proc"]
    lines.append(f"mount --bind {where}/{TOOLS}/cpuinfo {where}/proc/cpuinfo")
    # Bound, not made: a namespace without real root may not make devices.
    lines += [f"mount --bind /dev/{node} {where}/dev/{node}" for node in _NODES]
    return "\n".join(lines) + "\n"


def _namespaces() -> tuple[str, ...]:
    return _NAMESPACES if os.geteuid() == 0 else (*_NAMESPACES, "--map-root-user")


@contextlib.contextmanager
def emulated_system(
    root: ArmRoot, qemu: Qemu, tracer: Tracer, cpu: Cpu
) -> Iterator[EmulatedSystem]:
    """Make a system from a root; it is gone afterwards.

    Args:
        root: Copied, never changed.
        qemu: The emulator.
        tracer: What lets programs start others.
        cpu: The processor.

    Raises:
        Unavailable: If this machine does not allow the namespaces or ptrace.
        WorkspaceError: If there is no room for the copy.
    """
    with tempfile.TemporaryDirectory(
        prefix="edgedeploy-system-", ignore_cleanup_errors=True
    ) as name:
        folder = Path(name) / "root"
        ended = run(
            Job(
                command=(
                    *("cp", "-a", "--reflink=auto"),
                    *(str(root.folder), str(folder)),
                ),
                what=f"copying the Arm root of {root.suite}",
                timeout_s=_COPY_S,
            )
        )
        if ended.code != 0:
            raise WorkspaceError(f"cannot copy {root.folder}: {ended.last_line}")
        _equip(folder, qemu, tracer, cpu)
        system = EmulatedSystem(folder=folder, qemu=qemu, cpu=cpu)
        _probe(system)
        yield system


def _equip(folder: Path, qemu: Qemu, tracer: Tracer, cpu: Cpu) -> None:
    tools = folder / TOOLS
    shutil.copytree(tracer.folder, tools)
    shutil.copy(qemu.path, tools / PROGRAM)
    describe_cpu(folder, cpu)
    # /proc is mounted over, so its cpuinfo is bound from here.
    (folder / "proc" / "cpuinfo").rename(tools / "cpuinfo")
    for node in _NODES:
        (folder / "dev" / node).touch()


def _probe(system: EmulatedSystem) -> None:
    """See one program start another before an installation is blamed."""
    missing = [name for name in ("unshare", "mount", "chroot") if not _which(name)]
    if missing:
        raise Unavailable(f"needs {', '.join(missing)}; install util-linux, coreutils")
    try:
        ended = run(
            Job(
                command=system.command("/bin/sh", "-c", "uname -m; exec /bin/true"),
                what="starting the emulated system",
                timeout_s=_PROBE_S,
            )
        )
    except DeviceError as error:
        raise Unavailable(str(error)) from error
    if ended.code != 0 or ended.last_line != "aarch64":
        raise Unavailable(
            "a whole Arm system needs root, or user namespaces, and ptrace; this "
            f"machine says: {ended.last_line}"
        )


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
