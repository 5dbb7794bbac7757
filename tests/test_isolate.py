import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from edgedeploy.errors import IsolatedError, QuantizationError, WorkspaceError
from edgedeploy.isolate import run_isolated
from edgedeploy.ondevice.contract import ContractError

CHILD = """
import ctypes, os, signal, stat, subprocess, sys, threading, time
from edgedeploy.errors import QuantizationError
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.pictures import PictureError


def echo(*, progress, **arguments):
    return arguments


def count(*, progress, to):
    for n in range(to):
        progress(n + 1, to)
    progress(to, None)
    return to


def fail(*, progress, kind, message):
    kinds = {"quantization": QuantizationError, "picture": PictureError,
             "value": ValueError, "exit": SystemExit, "memory": MemoryError}
    raise kinds[kind](message)


def fill_disk(*, progress):
    with open("/dev/full", "wb") as full:
        full.write(b"x")


def leave(*, progress, code):
    os._exit(code)


def die(*, progress, number):
    print("about to die", file=sys.stderr, flush=True)
    os.kill(os.getpid(), number)
    time.sleep(60)


def crash(*, progress):
    ctypes.string_at(0)


def chatter(*, progress):
    print("printed by Python")
    os.write(1, b"written by native code\\n")
    subprocess.run(["echo", "said by a program"], check=True)
    progress(1, 1)
    return "quiet"


def unfinished(*, progress):
    for fd in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, b'{"result": "half of')
        except OSError:
            pass
    os.kill(os.getpid(), signal.SIGKILL)


def object_result(*, progress):
    return object()


def linger(*, progress):
    # As TensorFlow's: a thread that would hold up a normal exit.
    threading.Thread(target=time.sleep, args=(60,)).start()
    return 1


def wait(*, progress, path):
    open(path + ".new", "w").write(str(os.getpid()))
    os.rename(path + ".new", path)
    time.sleep(60)


def environment(*, progress):
    return dict(os.environ)
"""


@pytest.fixture(autouse=True)
def child_module(tmp_path, monkeypatch):
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "isolated_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def run(name, **arguments):
    return run_isolated(f"isolated_child:{name}", arguments, what="the test")


def gone(pid: int) -> bool:
    """Whether a process ends within ten seconds."""
    for _ in range(200):
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            return True
        if status[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def appears(path: Path) -> str:
    for _ in range(400):
        if path.exists():
            return path.read_text()
        time.sleep(0.05)
    pytest.fail(f"{path} did not appear")


def test_arguments_and_result_go_through():
    values = {"text": "Käfer\n\u2028", "numbers": [1, 2.5, None], "deep": {"a": [True]}}
    assert run("echo", **values) == values


def test_arguments_and_result_of_megabytes_go_through():
    values = {"list": ["x" * 1000] * 3000}
    assert run("echo", **values) == values


def test_path_that_is_not_utf8_goes_through():
    name = os.fsdecode(b"caf\xe9.jpg")
    assert run("echo", path=name) == {"path": name}


def test_progress_arrives_in_order():
    seen = []
    result = run_isolated(
        "isolated_child:count",
        {"to": 3},
        what="the test",
        progress=lambda done, total, _found: seen.append((done, total)),
    )
    assert result == 3
    assert seen == [(1, 3), (2, 3), (3, 3), (3, None)]


def test_our_errors_keep_their_class():
    with pytest.raises(QuantizationError, match=r"^no such recipe$"):
        run("fail", kind="quantization", message="no such recipe")
    with pytest.raises(ContractError, match=r"^cannot be decoded$"):
        run("fail", kind="picture", message="cannot be decoded")


def test_foreign_exception_is_one_line_with_its_name():
    with pytest.raises(IsolatedError) as caught:
        run("fail", kind="value", message="first line\nsecond line")
    assert str(caught.value) == "the test: ValueError: first line"
    with pytest.raises(IsolatedError, match="the test: MemoryError: no message"):
        run("fail", kind="memory", message="")


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has"
)
def test_full_disk_says_what_to_do():
    with pytest.raises(WorkspaceError, match=r"^the test: No space left .* free some"):
        run("fill_disk")


def test_result_that_is_no_json_is_one_error():
    with pytest.raises(IsolatedError, match=r"TypeError: .*not JSON serializable"):
        run("object_result")


def test_unknown_function_is_one_error():
    with pytest.raises(IsolatedError, match="AttributeError"):
        run("nothing_of_that_name")
    with pytest.raises(IsolatedError, match="ModuleNotFoundError"):
        run_isolated("no.such.module:f", {}, what="the test")


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGSEGV, r"SIGSEGV \(the native code crashed\)"),
        (signal.SIGABRT, r"SIGABRT \(the native code crashed\)"),
        (signal.SIGKILL, r"SIGKILL \(out of memory\?\)"),
        (signal.SIGRTMIN + 3, r"signal \d+ \(the native code crashed\)"),
    ],
)
def test_death_names_the_signal_and_the_last_words(number, name):
    with pytest.raises(
        IsolatedError, match=f"the child died of {name}; last words: about to die"
    ):
        run("die", number=int(number))


def test_real_segmentation_fault_costs_one_error():
    with pytest.raises(IsolatedError, match="the child died of SIGSEGV"):
        run("crash")


def test_death_in_mid_answer_is_a_death():
    with pytest.raises(IsolatedError, match="the child died of SIGKILL"):
        run("unfinished")


def test_exit_by_a_library_is_one_error():
    with pytest.raises(IsolatedError, match="the test: SystemExit: 3"):
        run("fail", kind="exit", message=3)
    with pytest.raises(IsolatedError, match="the child ended with exit code 3"):
        run("leave", code=3)


def test_prints_of_libraries_do_not_disturb(capfd):
    assert run("chatter") == "quiet"
    assert capfd.readouterr() == ("", "")


def test_threads_left_behind_do_not_hold_up_the_answer():
    started = time.monotonic()
    assert run("linger") == 1
    # Far from the minute that the thread lives, and from the five seconds' grace.
    assert time.monotonic() - started < 30


def test_modules_in_the_users_folder_are_not_taken(tmp_path, monkeypatch):
    for name in ("json.py", "edgedeploy.py", "numpy.py", "isolated_child.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    assert run("echo", a=1) == {"a": 1}


def test_child_sees_no_gpu_and_hashes_the_same_everywhere():
    environment = run("environment")
    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert environment["PYTHONHASHSEED"] == "0"
    assert environment["HOME"] == os.environ["HOME"]


PARENT = """
import sys
from edgedeploy.isolate import run_isolated
run_isolated("isolated_child:wait", {"path": sys.argv[1]}, what="the test")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_child_ends_with_its_parent(tmp_path, number):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "pid")],
        stderr=subprocess.PIPE,
    )
    child = int(appears(tmp_path / "pid"))
    # To the parent alone, as by a supervisor; a terminal would tell both.
    parent.send_signal(number)
    parent.communicate(timeout=60)
    assert gone(child)


def test_failing_progress_ends_the_child(tmp_path):
    started = time.monotonic()

    def fail(done, total, found):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_isolated("isolated_child:count", {"to": 1}, what="x", progress=fail)
    assert time.monotonic() - started < 30


def test_protocol_is_one_json_object_a_line():
    """What a child says, read by hand."""
    code = textwrap.dedent(
        """
        from edgedeploy.isolate import serve
        serve("isolated_child:count")
        """
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child.stdin.write('{"to": 1}\n')
    child.stdin.flush()
    lines = [json.loads(line) for line in child.stdout]
    child.communicate()
    assert lines == [
        {"progress": [1, 1, ""]},
        {"progress": [1, None, ""]},
        {"result": 1},
    ]
