"""Installing over a real sshd: what is sent, what is not, and what is left."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edgedeploy.devices.ssh.connection import ConnectionLostError, Switchboard
from edgedeploy.devices.ssh.hosts import Host
from edgedeploy.devices.ssh.install import install
from edgedeploy.devices.ssh.parcel import Depot, open_parcel
from edgedeploy.devices.ssh.remote import probe
from edgedeploy.devices.ssh.transfer import push
from edgedeploy.errors import DeviceError, EdgedeployError, InputError
from edgedeploy.formats.tar import TarEntry, write_tar_gz

BOARD = Host(destination="board")
SHELLS = ("bin/dash", "usr/bin/fish", "bin/csh")


@pytest.fixture
def put(tmp_path):
    """Install an archive on a server; give the outcome."""

    def run(server, archive, host=BOARD, say=lambda _text: None):
        parcel = open_parcel(archive, tmp_path / f"open-{time.monotonic_ns()}")
        board = Switchboard(server.config)
        return install(board, host, Depot.of(parcel), parcel.model, say)

    return run


def in_use(server):
    """The folder of the version in use, seen from here, or None."""
    prefix = server.home / ".local/opt/edgedeploy/tiny"
    link = prefix / "current"
    return prefix / link.readlink() if link.is_symlink() else None


def expect_refusal(server, archive, put, said):
    """One clear line, and a host that is as it was."""
    before = server.snapshot()
    with pytest.raises(EdgedeployError, match=said) as caught:
        put(server, archive)
    assert "\n" not in str(caught.value)
    assert server.snapshot() == before


@pytest.mark.parametrize(
    "shell",
    ["/bin/bash", *(pytest.param(f"/{one}", marks=pytest.mark.slow) for one in SHELLS)],
)
def test_installs_whatever_the_login_shell_is(serve, make_bundle, put, shell):
    if not Path(shell).exists():
        pytest.skip(f"{shell} is missing: apt-get install {Path(shell).name}")
    server = serve(shell=shell)
    outcome = put(server, make_bundle())
    assert outcome.passed
    assert outcome.facts["sent_bytes"] > 6_000_000
    assert (in_use(server) / "install.sh").stat().st_mode & 0o777 == 0o755
    model = (in_use(server) / "models/int8.tflite").read_bytes()
    assert len(model) == 5_000_000
    assert [p.name for p in server.cache.iterdir() if "." in p.name[1:]] == []


@pytest.mark.slow
def test_banner_and_motd_on_standard_output_do_no_harm(serve, make_bundle, put):
    noisy = (
        'ForceCommand echo "WELCOME have 0"; echo "@@x end 0"; '
        'sh -c "$SSH_ORIGINAL_COMMAND"; echo BYE'
    )
    server = serve(options=(noisy,))
    assert put(server, make_bundle()).passed


def test_second_run_sends_nothing(serve, make_bundle, put):
    server, archive = serve(), make_bundle()
    put(server, archive)
    before = server.snapshot()
    outcome = put(server, archive)
    assert outcome.passed
    assert outcome.facts["skipped"] is True
    assert outcome.facts["sent_bytes"] == 0
    assert server.snapshot() == before


@pytest.mark.slow
def test_upgrade_sends_only_what_changed_and_forgets_what_went(
    serve, make_bundle, put, tmp_path
):
    server = serve()
    put(server, make_bundle("old"))
    new = make_bundle("new", labels__txt=b"", wheels__two=b"x" * 1000)
    outcome = put(server, new)
    parcel = open_parcel(new, tmp_path / "look")
    changed = {"SHA256SUMS", "wheels/two"}
    expected = sum(file.size_bytes for file in parcel.files if file.name in changed)
    # labels.txt is a new file called "labels/txt", and empty like another one.
    assert outcome.facts["sent_bytes"] == expected
    kept = {path.name for path in (server.cache / "objects").iterdir()}
    assert kept == {file.sha256 for file in parcel.files}


@pytest.mark.slow
def test_damaged_object_in_the_upload_cache_is_sent_again(serve, make_bundle, put):
    server = serve()
    put(server, make_bundle("old"))
    wheel = hashlib.sha256((in_use(server) / "wheels/one.whl").read_bytes()).hexdigest()
    # A link to the staged file would be shared; the version in use is a copy.
    (server.cache / "objects" / wheel).write_bytes(b"rot")
    outcome = put(server, make_bundle("new", note=b"new"))
    assert outcome.passed
    assert 1_000_000 < outcome.facts["sent_bytes"] < 1_010_000


@pytest.mark.slow
def test_failing_installer_leaves_the_version_before(serve, make_bundle, put):
    server = serve()
    put(server, make_bundle("old"))
    before = in_use(server)
    bad = make_bundle(
        "bad", extra="echo 'install.sh: the self-test failed' >&2; exit 1"
    )
    with pytest.raises(DeviceError, match=r"board: the self-test failed \(install.sh"):
        put(server, bad)
    assert in_use(server) == before
    assert not [p for p in server.cache.iterdir() if p.name.startswith("stage")]


def cut_in_mid_transfer(server, times):
    """Cut the connections whenever bytes are arriving; at most so many times."""
    cuts = []

    def watch():
        deadline = time.monotonic() + 60
        while len(cuts) < times and time.monotonic() < deadline:
            arriving = [
                path.stat().st_size
                for path in server.cache.glob("incoming.*/*")
                if path.exists()
            ]
            # Between two pieces, or within one: whatever it happens to be.
            if sum(arriving) > 4_500_000:
                server.cut_sessions()
                cuts.append(len(arriving))
                time.sleep(0.3)
            time.sleep(0.001)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread, cuts


@pytest.mark.slow
def test_dropped_connection_goes_on_from_there(serve, make_bundle, put):
    server = serve()
    thread, cuts = cut_in_mid_transfer(server, times=1)
    said = []
    archive = make_bundle(models__more=os.urandom(20_000_000))
    outcome = put(server, archive, say=said.append)
    thread.join(timeout=1)
    assert cuts
    assert "connection dropped; trying again" in said
    assert outcome.passed
    # What had arrived whole was not sent a second time.
    assert outcome.facts["reused_bytes"] > 0
    assert (in_use(server) / "models/more").stat().st_size == 20_000_000


@pytest.mark.slow
def test_connection_that_always_drops_is_one_line_and_the_next_run_resumes(
    serve, make_bundle, put, tmp_path
):
    server = serve()
    put(server, make_bundle("old", small=b"old"))
    before = in_use(server)
    archive = make_bundle("new", models__new=os.urandom(20_000_000))
    parcel = open_parcel(archive, tmp_path / "push")
    with Switchboard(server.config).connect(BOARD) as connection:
        remote = probe(connection, "tiny")
        thread, cuts = cut_in_mid_transfer(server, times=1)
        with pytest.raises(ConnectionLostError, match="connection dropped") as caught:
            push(connection, parcel, remote, lambda _done, _total: None)
        assert "\n" not in str(caught.value)
    thread.join(timeout=1)
    assert cuts
    assert in_use(server) == before
    outcome = put(server, archive)
    assert outcome.facts["sent_bytes"] < 20_000_000
    assert in_use(server) != before


@pytest.mark.slow
def test_connection_lost_while_installing_finds_it_done(serve, make_bundle, put):
    server = serve()
    slow = make_bundle(extra="touch $HOME/begun; sleep 2; rm $HOME/begun")

    def cut():
        while not (server.home / "begun").exists():
            time.sleep(0.02)
        server.cut_sessions()

    thread = threading.Thread(target=cut, daemon=True)
    thread.start()
    outcome = put(server, slow)
    thread.join(timeout=1)
    assert outcome.passed
    assert (in_use(server) / ".complete").exists()


def test_full_disk_is_seen_before_the_first_byte(serve, make_bundle, put):
    server = serve(home_kb=9_000)
    expect_refusal(server, make_bundle(), put, "no space left for the upload: it takes")


@pytest.mark.slow
def test_disk_that_fills_up_meanwhile_is_one_line(serve, make_bundle, tmp_path):
    server = serve(home_kb=5_500)
    before = server.snapshot()
    parcel = open_parcel(make_bundle(), tmp_path / "push")
    with Switchboard(server.config).connect(BOARD) as connection:
        remote = replace(probe(connection, "tiny"), free_bytes=None)
        with pytest.raises(DeviceError, match="no space left in the home folder") as no:
            push(connection, parcel, remote, lambda _done, _total: None)
    assert "\n" not in str(no.value)
    left = set(server.snapshot()) - set(before)
    assert left <= {"/home/pilot/.cache"}


@pytest.mark.slow
def test_disk_that_is_full_for_the_installation_keeps_the_old_version(
    serve, make_bundle, put
):
    server = serve(home_kb=60_000)
    put(server, make_bundle("old"))
    before = in_use(server)
    fill = "head -c 100000000 /dev/zero >$HOME/fill || { rm $HOME/fill; exit 1; }"
    archive = make_bundle("new", extra=fill)
    with pytest.raises(DeviceError, match="no space left"):
        put(server, archive)
    assert in_use(server) == before
    assert not list(server.cache.glob("stage*"))


def test_read_only_home_is_refused(serve, make_bundle, put):
    server = serve()
    server.shell("mount -o remount,ro /home")
    expect_refusal(server, make_bundle(), put, "cannot write /home/pilot")


def test_wrong_key_is_refused(serve, make_bundle, put):
    server = serve()
    server.use_key("wrong_key")
    expect_refusal(server, make_bundle(), put, "board: it accepts none of your keys")


def test_unknown_host_key_is_refused_and_not_learnt(serve, make_bundle, put):
    server = serve()
    known = server.folder / "known_hosts"
    known.write_text("")
    expect_refusal(server, make_bundle(), put, "board: its host key is unknown")
    assert known.read_text() == ""


@pytest.mark.slow
def test_changed_host_key_is_refused(serve, make_bundle, put):
    server = serve()
    server.write_known_hosts("wrong_key")
    expect_refusal(server, make_bundle(), put, "not the one in known_hosts")


@pytest.mark.slow
def test_port_that_nobody_listens_on_is_named(serve, make_bundle, put):
    server = serve()
    with pytest.raises(DeviceError, match="closed: nothing listens for ssh there"):
        put(server, make_bundle(), host=Host(destination="closed"))


def test_host_without_python_is_refused(serve, make_bundle, put):
    server = serve()
    server.shell("for p in /usr/bin/python3*; do mount --bind /bin/false $p; done")
    expect_refusal(server, make_bundle(), put, "board: has no Python")


def test_another_architecture_is_refused(serve, make_bundle, put):
    server = serve()
    if os.uname().machine == "aarch64":
        pytest.skip("this machine is an aarch64 itself; the test needs another")
    archive = make_bundle(arch="aarch64")
    expect_refusal(server, archive, put, "board: wrong architecture: .*aarch64")


@pytest.mark.slow
def test_login_that_allows_no_shell_is_refused(serve, make_bundle, put):
    server = serve(shell="/usr/sbin/nologin")
    expect_refusal(
        server, make_bundle(), put, "does not run /bin/sh; it said: This acc"
    )


@pytest.mark.slow
def test_switchboard_that_was_closed_ends_what_runs(serve, make_bundle):
    server = serve()
    board = Switchboard(server.config)
    with board.connect(BOARD) as connection:
        threading.Timer(0.5, board.close).start()
        # A pipe that nobody closes: the inventory waits for more.
        with pytest.raises(ConnectionLostError):
            connection.run("inventory", send=lambda _p: time.sleep(5), timeout_s=30)
    with pytest.raises(DeviceError, match="interrupted"), board.connect(BOARD):
        pass


@pytest.mark.parametrize(
    ("name", "data"), [("labels.txt", b"b\na\n"), ("more.txt", b"x")]
)
def test_altered_bundle_is_refused_on_this_side(make_bundle, tmp_path, name, data):
    archive = make_bundle()
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path], check=True)
    folder = tmp_path / "tiny-pi-3.11-x86_64"
    (folder / name).write_bytes(data)
    write_tar_gz(
        tmp_path / "bad.tar.gz",
        [
            TarEntry(name=f"b/{p.relative_to(folder).as_posix()}", source=p)
            for p in folder.rglob("*")
            if p.is_file()
        ],
    )
    with pytest.raises(InputError, match=r"altered|not those"):
        open_parcel(tmp_path / "bad.tar.gz", tmp_path / "open")


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08\0", b"no archive"])
def test_damaged_archive_is_an_error_of_ours(tmp_path, content):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)
    with pytest.raises(EdgedeployError):
        open_parcel(path, tmp_path / "open")


@pytest.mark.slow
def test_terminated_desk_leaves_no_ssh_behind_and_the_next_run_works(
    serve, make_bundle, put
):
    server = serve()
    archive = make_bundle(extra="touch $HOME/begun; sleep 3; rm $HOME/begun")
    words = ["--host", "board", "--ssh-config", server.config, "--path", archive]
    desk = subprocess.Popen(
        [sys.executable, "-m", "edgedeploy", "pi.install", *words],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (server.home / "begun").exists():
        time.sleep(0.02)
        assert desk.poll() is None, desk.stderr.read()
    desk.send_signal(signal.SIGTERM)
    _, err = desk.communicate(timeout=20)
    assert (desk.returncode, err.count("\n")) == (130, 1), err
    mine = str(server.config).encode()
    left = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if mine in _content(path)
    ]
    assert left == []
    assert put(server, archive).passed


def _content(path):
    try:
        return path.read_bytes()
    except OSError:  # It ended while we looked.
        return b""
