import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from edgedeploy.targets.raspberry_pi.bundle import render

VALUES = {"model": "tiny", "camera_unit": "edgedeploy-tiny.service"}
UNIT = render("classify.service.j2", VALUES | {"memory_max_mb": 300}).decode()
# systemd 252 gives 0.7 of 10; what remains is listed in the documentation.
HIGHEST_EXPOSURE = 10


@pytest.fixture
def unit(tmp_path):
    """The unit, with a program that exists in place of the installed one."""
    path = tmp_path / VALUES["camera_unit"]
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.M))
    return path


def analyse(*arguments):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is missing; sudo apt install systemd")
    return subprocess.run(
        [program, *map(str, arguments)],
        env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_systemd_accepts_the_unit_without_a_word(unit):
    done = analyse("verify", "--man=no", unit)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_misspelt_setting_would_be_told(unit):
    unit.write_text(unit.read_text().replace("ProtectHome", "ProtectHouse"))
    assert "ProtectHouse" in analyse("verify", "--man=no", unit).stderr


def test_exposure_is_as_documented(unit):
    allowed = analyse(
        "security", "--offline=true", f"--threshold={HIGHEST_EXPOSURE}", unit
    )
    assert allowed.returncode == 0, allowed.stdout
    unit.write_text(unit.read_text().replace("PrivateNetwork=yes\n", ""))
    weaker = analyse(
        "security", "--offline=true", f"--threshold={HIGHEST_EXPOSURE}", unit
    )
    assert weaker.returncode != 0


def test_only_cameras_and_their_buffers_can_be_opened():
    allowed = re.findall(r"^DeviceAllow=(.*)$", UNIT, re.M)
    assert "DevicePolicy=closed" in UNIT
    assert allowed == ["char-video4linux rw", "char-media rw", "char-dma_heap rw"]


def test_script_is_posix_shell(tmp_path):
    script = tmp_path / "service"
    script.write_bytes(render("service.sh.j2", VALUES))
    subprocess.run(["sh", "-n", script], check=True)
    linter = shutil.which("shellcheck")
    if linter is None:
        pytest.skip("parsed; for the lint as well, apt install shellcheck")
    subprocess.run([linter, "-s", "sh", script], check=True)


class Machine:
    """An installed version in a mount namespace of its own, with its own /etc/systemd.

    systemd does not run in there, so `enable` works as in an image that is prepared
    for a card: it makes the links, and the unit starts with the machine.
    """

    def __init__(self, tmp_path, prefix):
        self.folder, self.prefix = tmp_path, prefix
        version = tmp_path / "opt/versions/0123"
        (version / "bin").mkdir(parents=True)
        (version / "systemd").mkdir()
        (version / "systemd" / VALUES["camera_unit"]).write_text(UNIT)
        script = version / "bin/service"
        script.write_bytes(render("service.sh.j2", VALUES))
        script.chmod(0o755)
        (tmp_path / "opt/current").symlink_to("versions/0123")
        (tmp_path / "system").mkdir()

    def run(self, *commands):
        """Run shell commands in there; $service is the program."""
        setup = (
            f"mount -t tmpfs none /opt && mkdir -p {self.prefix} /etc/systemd/system &&"
            f"mount --bind {self.folder}/opt {self.prefix} &&"
            f"mount --bind {self.folder}/system /etc/systemd/system || exit 99\n"
            f"service={self.prefix}/current/bin/service\n"
        )
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", setup + "\n".join(commands)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode != 99, done.stderr
        return done

    def files(self):
        """What lies in /etc/systemd/system."""
        folder = self.folder / "system"
        return sorted(
            str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()
        )


@pytest.fixture
def machine(tmp_path):
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare, for a mount namespace; run as root")
    if not shutil.which("systemctl"):
        pytest.skip("systemctl is missing; sudo apt install systemd")
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("mount namespaces are forbidden here; run outside the container")
    if os.path.isdir("/run/systemd/system"):  # noqa: PTH112
        pytest.skip("systemd runs here and would start the unit; use a container")
    return Machine(tmp_path, "/opt/edgedeploy/tiny")


def test_enable_puts_the_unit_in_place_and_disable_leaves_nothing(machine):
    done = machine.run("$service enable && $service enable")
    assert done.returncode == 0, done.stderr
    name = VALUES["camera_unit"]
    assert machine.files() == [name, f"multi-user.target.wants/{name}"]
    assert (machine.folder / "system" / name).read_text() == UNIT
    done = machine.run("$service disable && $service disable")
    assert done.returncode == 0, done.stderr
    assert machine.files() == []


def test_unit_names_the_prefix_it_was_installed_under(machine):
    machine.prefix = "/opt/elsewhere"
    assert machine.run("$service enable").returncode == 0
    written = (machine.folder / "system" / VALUES["camera_unit"]).read_text()
    assert "ExecStart=/opt/elsewhere/current/bin/classify " in written
    assert "ReadOnlyPaths=/opt/elsewhere\n" in written
    assert "edgedeploy/tiny" not in written


def test_refresh_updates_a_unit_in_place_and_only_that(machine):
    assert machine.run("$service refresh").returncode == 0
    assert machine.files() == []
    machine.run("$service enable")
    installed = machine.folder / "system" / VALUES["camera_unit"]
    installed.write_text(UNIT.replace("RestartSec=10", "RestartSec=99"))
    assert machine.run("$service refresh").returncode == 0
    assert installed.read_text() == UNIT


def test_strangers_unit_is_left_alone(machine):
    theirs = machine.folder / "system" / VALUES["camera_unit"]
    theirs.write_text("[Service]\nExecStart=/bin/true\n")
    done = machine.run("$service enable")
    assert done.returncode == 1
    assert "not ours" in done.stderr
    assert machine.run("$service disable").returncode == 0
    assert theirs.read_text() == "[Service]\nExecStart=/bin/true\n"


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("/opt/a b", "cannot name"),
        ("/opt/50%", "cannot name"),
        ("/home/pi/x", "may not see"),
    ],
)
def test_prefix_that_no_unit_can_have_is_refused(machine, prefix, reason):
    bundle = machine.folder / "opt/versions/0123/bin/service"
    loose = machine.folder / "loose/bin/service"
    loose.parent.mkdir(parents=True)
    shutil.copy(bundle, loose)
    done = subprocess.run(
        ["sh", loose, "check", prefix], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_program_runs_where_memory_cannot_be_written_and_executed(tiny_bundle):
    """Under what MemoryDenyWriteExecute asks of the kernel (prctl PR_SET_MDWE)."""
    script = (
        "import ctypes, mmap, runpy, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "if libc.prctl(65, 1, 0, 0, 0): sys.exit(77)\n"
        "try: mmap.mmap(-1, 4096, prot=7)\n"
        "except PermissionError: pass\n"
        "else: sys.exit('still allowed')\n"
        "sys.argv = ['classify', '--json', *sys.argv[1:]]\n"
        "runpy.run_module('edgedeploy.ondevice.classify', run_name='__main__')\n"
    )
    picture = str(tiny_bundle / "golden/1.png")
    done = subprocess.run(
        [sys.executable, "-c", script, "--folder", str(tiny_bundle), picture],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE; needs Linux 6.3 or newer")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["top"]
