"""install.sh, run for real: with an x86-64 wheelhouse, since no Pi is at hand."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from registries import wheels_of
from small_disks import small_disk

from edgedeploy.targets.payload import extend_payload
from edgedeploy.targets.raspberry_pi.bundle import write_bundle

PYTHON = ("--python", sys.executable)
KILL_SEEDS = range(20)


def update_sums(folder):
    sums = folder / "SHA256SUMS"
    names = [line.split("  ", 1)[1] for line in sums.read_text().splitlines()]
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in names
    ]
    sums.write_text("".join(lines))


def run_install(folder, *arguments, **environment):
    return subprocess.run(
        [folder / "install.sh", *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def works(prefix):
    selftest = prefix / "current/bin/selftest"
    return subprocess.run([selftest], capture_output=True, check=False).returncode == 0


def listing(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def native(tiny_payload, tmp_path_factory):
    """Unpacked bundles, of two versions, that this very machine can install."""
    if os.uname().machine != "x86_64":
        pytest.skip("needs an x86-64 machine")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("needs Python 3.11; run the tests with it")

    folder = tmp_path_factory.mktemp("native")
    house = wheels_of("3.11", "x86_64", folder / "cache")
    bundles = []
    for number in (1, 2):
        payload = extend_payload(
            tiny_payload, files={}, components=[], facts={"version": number}
        )
        path = folder / f"{number}.tar.gz"
        write_bundle(
            path, payload=payload, wheelhouse=house, python="3.11", arch="x86_64"
        )
        target = folder / str(number)
        target.mkdir()
        subprocess.run(["tar", "-xzf", path, "-C", target], check=True)
        bundles.append(target / "tiny-pi-3.11-x86_64")
    return bundles


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(2400)
class TestWithWheels:
    def test_installs_offline_upgrades_goes_back_and_leaves_nothing(
        self, native, tmp_path
    ):
        old, new = native
        before = listing(tmp_path)
        prefix = tmp_path / "made" / "a préfix with blanks"
        # pip is told nothing of an index, and could not reach one.
        closed = "http://127.0.0.1:9"
        offline = {"http_proxy": closed, "https_proxy": closed, "LC_ALL": "C"}
        where = ("--prefix", prefix, *PYTHON)

        mask = os.umask(0o077)
        try:
            first = run_install(old, *where, **offline)
        finally:
            os.umask(mask)
        assert first.returncode == 0, first.stderr
        assert works(prefix)
        # Whatever the umask was, others can run what root installed.
        for path in (prefix / "current").resolve().rglob("*"):
            if not path.is_symlink():
                assert path.stat().st_mode & 0o444 == 0o444, path
        first_target = (prefix / "current").readlink()
        assert "installed already" in run_install(old, *where).stdout

        second = run_install(new, *where)
        assert second.returncode == 0, second.stderr
        second_target = (prefix / "current").readlink()
        assert second_target != first_target
        kept = {path.name for path in (prefix / "versions").iterdir()}
        assert kept == {first_target.name, second_target.name}
        assert "installed already" in run_install(old, *where).stdout
        assert (prefix / "current").readlink() == first_target
        assert works(prefix)

        # A damaged installation is found, and replaced while it stays where it is.
        (prefix / "current/labels.txt").write_text("x\n")
        assert not works(prefix)
        assert run_install(old, *where).returncode == 0
        assert works(prefix)

        picture = prefix / "current/golden/1.png"
        done = subprocess.run(
            [prefix / "current/bin/classify", "--json", picture],
            cwd="/",
            capture_output=True,
            check=True,
        )
        assert json.loads(done.stdout)["top"][0]["label"].startswith("class ")

        subprocess.run(
            [prefix / "current/uninstall.sh"], check=True, capture_output=True
        )
        assert listing(tmp_path) == before

    def test_failing_selftest_leaves_the_old_version(self, native, tmp_path):
        prefix = tmp_path / "p"
        assert run_install(native[0], "--prefix", prefix, *PYTHON).returncode == 0
        before = (prefix / "current").readlink()
        bad = tmp_path / "bad"
        shutil.copytree(native[1], bad)
        path = bad / "contract.json"
        document = json.loads(path.read_text())
        document["golden"][0]["rgb_sha256"] = "0" * 64
        path.write_text(json.dumps(document))
        update_sums(bad)
        done = run_install(bad, "--prefix", prefix, *PYTHON)
        assert done.returncode == 1
        assert "self-test failed; nothing was changed" in done.stderr
        assert (prefix / "current").readlink() == before
        assert [p.name for p in (prefix / "versions").iterdir()] == [before.name]
        # The same as a first installation leaves nothing at all.
        assert run_install(bad, "--prefix", tmp_path / "q", *PYTHON).returncode == 1
        assert not (tmp_path / "q").exists()

    def test_killed_at_twenty_points_of_an_upgrade_a_version_works(
        self, native, tmp_path
    ):
        old, new = native
        prefix, saved = tmp_path / "p", tmp_path / "saved"
        where = ("--prefix", str(prefix), *PYTHON)
        assert run_install(old, *where).returncode == 0
        shutil.copytree(prefix, saved, symlinks=True)
        old_target = (prefix / "current").readlink()
        began = time.monotonic()
        assert run_install(new, *where).returncode == 0
        whole = time.monotonic() - began
        new_target = (prefix / "current").readlink()
        outcomes = []
        for seed in KILL_SEEDS:
            shutil.rmtree(prefix)
            shutil.copytree(saved, prefix, symlinks=True)
            delay = random.Random(seed).uniform(0, 1.05) * whole
            running = subprocess.Popen(
                [new / "install.sh", *where],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(delay)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            target = (prefix / "current").readlink()
            assert target in (old_target, new_target), f"seed {seed}"
            assert works(prefix), f"neither version works: seed {seed}, {delay:.2f} s"
            outcomes.append("new" if target == new_target else "old")
        print(f"killed within {whole:.1f} s: {outcomes}")
        # Otherwise the points were no points of the upgrade.
        assert "old" in outcomes
        # What the kills left does not hinder the next upgrade, and goes with it.
        assert run_install(new, *where).returncode == 0
        kept = {path.name for path in (prefix / "versions").iterdir()}
        assert kept == {old_target.name, new_target.name}

    def test_of_two_at_once_one_installs_and_the_other_says_why_not(
        self, native, tmp_path
    ):
        prefix = tmp_path / "p"
        command = [native[0] / "install.sh", "--prefix", prefix, *PYTHON]
        both = [
            subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        said = [one.communicate()[1] for one in both]
        assert sorted(one.returncode for one in both) == [0, 1]
        assert "".join(said) == (
            f"install.sh: another installation is running in {prefix}\n"
        )
        assert works(prefix)

    def test_full_disk_is_one_line_and_the_old_version_works(self, native, tmp_path):
        prefix = tmp_path / "p"
        blind = tmp_path / "blind"
        shutil.copytree(native[1], blind)
        script = blind / "install.sh"
        lines = script.read_text().splitlines(keepends=True)
        # Blind to how much room there is, it has to notice on the way.
        script.write_text(
            "".join(
                "REQUIRED_KB=0\n" if line.startswith("REQUIRED_KB=") else line
                for line in lines
            )
        )
        update_sums(blind)
        with small_disk(prefix, "400m"):
            assert run_install(native[0], "--prefix", prefix, *PYTHON).returncode == 0
            free = shutil.disk_usage(prefix).free
            with (prefix / "filler").open("wb") as filler:
                filler.write(bytes(free - (20 << 20)))
            for bundle, word in ((native[1], "MB are free"), (blind, "No space left")):
                done = run_install(bundle, "--prefix", prefix, *PYTHON)
                assert done.returncode == 1
                assert word in done.stderr
                assert len(done.stderr.splitlines()) == 1
                assert works(prefix)
                assert len(list((prefix / "versions").iterdir())) == 1
            subprocess.run(["mount", "-o", "remount,ro", prefix], check=True)
            done = run_install(native[1], "--prefix", prefix, *PYTHON)
            assert done.returncode == 1
            assert "cannot write" in done.stderr
            assert len(done.stderr.splitlines()) == 1
            assert works(prefix)
            subprocess.run(["mount", "-o", "remount,rw", prefix], check=True)


@pytest.fixture(scope="module")
def hollow(tiny_payload, tmp_path_factory):
    """A bundle that fits this machine and this Python; its wheels are no wheels."""
    import zipfile

    from edgedeploy.targets.raspberry_pi.systems import system_for
    from edgedeploy.targets.raspberry_pi.wheelhouse import Wheel, Wheelhouse

    top = tmp_path_factory.mktemp("hollow")
    wheel = top / "numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("numpy-1.26.4.dist-info/METADATA", "Name: numpy\n")
    one = Wheel(
        name="numpy",
        version="1.26.4",
        filename=wheel.name,
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        path=wheel,
    )
    house = Wheelhouse(system=system_for("3.11", "x86_64"), files=(one,))
    path = top / "hollow.tar.gz"
    write_bundle(
        path, payload=tiny_payload, wheelhouse=house, python="3.11", arch="x86_64"
    )
    subprocess.run(["tar", "-xzf", path, "-C", top], check=True)
    folder = top / "tiny-pi-3.11-x86_64"
    script = folder / "install.sh"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    text = script.read_text().replace("'x86_64'", f"'{os.uname().machine}'")
    script.write_text(text.replace("VERSION='3.11'", f"VERSION='{version}'"))
    update_sums(folder)
    return folder


@pytest.fixture
def bundle(hollow, tmp_path):
    return Path(shutil.copytree(hollow, tmp_path / "bundle"))


@pytest.mark.parametrize(
    "name",
    ["labels.txt", "models/int8.tflite", "contract.json", "install.sh", "WHEEL",
     "ondevice/classify.py", "requirements.txt", "uninstall.sh", "manifest.json"],
)  # fmt: skip
def test_altered_file_is_refused_in_one_line_before_anything_is_written(
    bundle, tmp_path, name
):
    if name == "WHEEL":
        name = f"wheels/{next((bundle / 'wheels').iterdir()).name}"
    with (bundle / name).open("ab") as file:
        file.write(b"\n")
    before = listing(tmp_path)
    done = run_install(bundle, "--prefix", tmp_path / "p", *PYTHON)
    assert done.returncode == 1
    assert done.stderr == (
        f"install.sh: damaged or altered: {name}: FAILED; unpack the archive again\n"
    )
    assert listing(tmp_path) == before


@pytest.mark.parametrize("lines", [0, 1, 20, -1])
def test_list_of_sums_that_was_cut_short_is_refused(bundle, tmp_path, lines):
    sums = bundle / "SHA256SUMS"
    sums.write_text("".join(sums.read_text().splitlines(keepends=True)[:lines]))
    done = run_install(bundle, "--prefix", tmp_path / "p", *PYTHON)
    assert done.returncode == 1
    assert "damaged or altered: SHA256SUMS" in done.stderr
    assert not (tmp_path / "p").exists()


def test_missing_file_is_refused(bundle, tmp_path):
    (bundle / "labels.txt").unlink()
    done = run_install(bundle, "--prefix", tmp_path / "p", *PYTHON)
    assert "damaged or altered: labels.txt" in done.stderr
    (bundle / "SHA256SUMS").unlink()
    done = run_install(bundle, "--prefix", tmp_path / "p", *PYTHON)
    assert done.stderr == (
        "install.sh: SHA256SUMS is missing; unpack the archive again\n"
    )
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("MACHINES=", "MACHINES='vax'", "this machine is"),
        ("BITS=", "BITS=16", "needs a 16-bit system"),
        ("GLIBC_MAJOR=", "GLIBC_MAJOR=3", "needs glibc 3."),
        ("SYSTEM_PACKAGES=", None, None),
        ("REQUIRED_KB=", "REQUIRED_KB=999999999999", "MB are free"),
    ],
)
def test_machine_that_does_not_fit_is_refused_and_left_as_it_was(
    bundle, tmp_path, old, new, complaint
):
    if new is None:
        pytest.importorskip("venv", reason="needs venv: apt install python3-venv")
        bare = tmp_path / "bare"
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", bare], check=True
        )
        new, complaint = (
            "SYSTEM_PACKAGES='python3-numpy python3-pil'",
            "sudo apt install python3-numpy python3-pil",
        )
        python = ("--python", bare / "bin/python")
    else:
        python = PYTHON
    script = bundle / "install.sh"
    lines = script.read_text().splitlines()
    changed = [new if line.startswith(old) else line for line in lines]
    assert changed != lines
    script.write_text("\n".join(changed) + "\n")
    update_sums(bundle)
    before = listing(tmp_path)
    done = run_install(bundle, "--prefix", tmp_path / "a" / "b", *python)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert listing(tmp_path) == before


def test_failed_first_installation_leaves_nothing(bundle, tmp_path):
    """pip is given a wheel that has no code, so the self-test cannot pass."""
    before = listing(tmp_path)
    done = run_install(bundle, "--prefix", tmp_path / "a" / "b c", *PYTHON)
    assert done.returncode == 1
    assert done.stderr.startswith("install.sh: ")
    assert listing(tmp_path) == before


@pytest.mark.parametrize("name", ["versions", "current"])
def test_folder_of_others_is_left_alone(bundle, tmp_path, name):
    theirs = tmp_path / "p" / name
    theirs.mkdir(parents=True)
    (theirs / "0123456789abcdef").write_text("theirs")
    before = listing(tmp_path)
    done = run_install(bundle, "--prefix", tmp_path / "p", *PYTHON)
    assert done.returncode == 1
    assert f"{theirs} is not tiny's" in done.stderr
    assert listing(tmp_path) == before


@pytest.mark.parametrize("prefix", ["/", "//", "a:b"])
def test_impossible_prefix_is_a_wrong_argument(bundle, tmp_path, prefix):
    done = run_install(bundle, "--prefix", prefix, *PYTHON)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_prefix_that_cannot_be_written_is_one_line(bundle, tmp_path):
    (tmp_path / "file").write_text("x")
    done = run_install(bundle, "--prefix", tmp_path / "file" / "p", *PYTHON)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_home_a_user_has_to_name_the_prefix(bundle, tmp_path):
    setpriv = shutil.which("setpriv")
    if os.getuid() == 0:
        if setpriv is None:
            pytest.skip("needs setpriv to be no root; apt install util-linux")
        command = [setpriv, "--reuid", "65534", "--clear-groups"]
        # The folders above the bundle may be closed to others.
        command += ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    else:
        command = []
    done = subprocess.run(
        [*command, "sh", bundle / "install.sh"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "install.sh: HOME is not set; give --prefix FOLDER\n"
