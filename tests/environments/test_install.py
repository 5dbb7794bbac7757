"""Environments on demand, with wheels of a few bytes from a folder instead of a net."""

import hashlib
import io
import re
import zipfile
from dataclasses import replace

import pytest

from edgedeploy.environments import install as module
from edgedeploy.environments import table
from edgedeploy.environments.install import find, install, requirements
from edgedeploy.environments.run import run_in
from edgedeploy.environments.table import ENVIRONMENTS, Environment, environment_named
from edgedeploy.errors import ConversionError, FetchError, InputError
from edgedeploy.fetch.fetched import Unreachable
from edgedeploy.isolate import silent

TINY = Environment(
    name="tiny",
    reads="tiny files",
    converter="tiny-0",
    modules=("tiny0",),
    sizes="1 kB",
)


def wheel(name, code=""):
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return buffer.getvalue()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Wheels and their lock; nothing else can be reached."""
    wheels, locks = tmp_path / "wheels", tmp_path / "locks"
    wheels.mkdir()
    locks.mkdir()
    lines = []
    for number in range(2):
        data = wheel(f"tiny{number}")
        (wheels / f"tiny{number}-1.0-py3-none-any.whl").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        lines.append(f"tiny{number}==1.0 \\\n    --hash=sha256:{digest}\n")
    (locks / "tiny.txt").write_text("".join(lines))
    monkeypatch.setattr(table, "_LOCKS", locks)
    monkeypatch.setattr(table, "_PROGRAMS", tmp_path)
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return tmp_path


def get(told=None, offline=False):
    tell = (lambda _: None) if told is None else told.append
    return install(TINY, offline=offline, tell=tell, progress=silent)


def test_price_is_told_first_and_the_environment_is_found_afterwards(registry):
    told = []
    assert find(TINY) is None
    made = get(told)
    assert "1 kB" in told[0]
    assert find(TINY) == made
    # It is there, so nothing is told, and no network is needed.
    assert get(told, offline=True) == made
    assert len(told) == 1


def test_interrupted_one_is_not_used_and_goes_on(registry, monkeypatch):
    monkeypatch.setattr(module, "_GROUP", 1)
    real, seen = module._install_group, []

    def interrupted(environment, lines, folder):
        if seen:
            raise KeyboardInterrupt
        seen.append(lines)
        real(environment, lines, folder)

    monkeypatch.setattr(module, "_install_group", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get()
    assert find(TINY) is None
    rest = []

    def resumed(environment, lines, folder):
        rest.append(lines)
        real(environment, lines, folder)

    monkeypatch.setattr(module, "_install_group", resumed)
    get()
    assert find(TINY) is not None
    # The first was there; the other was left.
    assert [line.split("==")[0] for lines in (*seen, *rest) for line in lines] == [
        "tiny0",
        "tiny1",
    ]
    assert (len(seen), len(rest)) == (1, 1)


@pytest.mark.slow
def test_changed_wheel_is_refused_and_nothing_is_used(registry):
    path = registry / "wheels" / "tiny1-1.0-py3-none-any.whl"
    path.write_bytes(wheel("tiny1", "print('another')"))
    with pytest.raises(FetchError, match=r"as locked"):
        get()
    assert find(TINY) is None


@pytest.mark.slow
def test_other_lock_is_another_environment(registry):
    get()
    lock = registry / "locks" / "tiny.txt"
    lock.write_text(lock.read_text() + "# changed\n")
    assert find(TINY) is None


@pytest.mark.slow
def test_converter_that_does_not_import_is_not_kept(registry):
    data = wheel("tiny0", "raise RuntimeError")
    (registry / "wheels" / "tiny0-1.0-py3-none-any.whl").write_bytes(data)
    lock = registry / "locks" / "tiny.txt"
    first = re.compile(r"(?<=tiny0==1\.0 \\\n    --hash=sha256:)\w+")
    lock.write_text(first.sub(hashlib.sha256(data).hexdigest(), lock.read_text()))
    with pytest.raises(FetchError, match="does not import"):
        get()
    assert find(TINY) is None


def test_offline_refuses_with_the_way(registry):
    with pytest.raises(Unreachable, match=r"--offline .* inv doctor --install tiny"):
        get(offline=True)


def test_program_runs_in_the_environment_and_its_last_word_is_the_reason(registry):
    made = get()
    program = registry / "convert_tiny.py"
    program.write_text(
        "import sys, pathlib, tiny0\npathlib.Path(sys.argv[2]).write_bytes(b'done')\n"
    )
    run_in(TINY, made, registry / "in", registry / "out")
    assert (registry / "out").read_bytes() == b"done"
    program.write_text("print('chatter')\nraise SystemExit('it has no heart')\n")
    with pytest.raises(ConversionError, match=r"tiny-0 cannot convert it \(it has no"):
        run_in(TINY, made, registry / "in", registry / "out2")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_requirement_is_pinned_with_digests(name):
    environment = ENVIRONMENTS[name]
    for lock in (environment.lock, *environment.either_locks):
        lines = requirements(lock)
        assert lines
        for line in lines:
            assert re.match(r"[\w.-]+==[\w.+!]+ ", line), line
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line
            assert "://" not in line
    assert environment.program.is_file()
    assert any(
        line.startswith(f"{environment.converter}==")
        for line in requirements(environment.lock)
    )


@pytest.mark.slow
def test_second_lock_is_taken_where_the_first_cannot_be_had(registry):
    locks = registry / "locks"
    digest = "0" * 64
    (locks / "a.txt").write_text(f"gone==1.0 --hash=sha256:{digest}\n")
    (locks / "b.txt").write_text(requirements(locks / "tiny.txt")[0] + "\n")
    both = replace(TINY, either=("a", "b"), second_sizes="3 GB more")
    told = []
    install(both, offline=False, tell=told.append, progress=silent)
    assert told[1:] == ["3 GB more"]
    assert find(both) is not None


def test_unknown_environment_names_those_there_are():
    with pytest.raises(InputError, match="there are onnx, torch"):
        environment_named("caffe")
