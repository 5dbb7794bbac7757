import os
import sys
import time
from pathlib import Path

import pytest

from edgedeploy.devices.processes import Job, run, run_together
from edgedeploy.errors import DeviceError

# Starts a child of its own, tells its number, and waits for ever.
PARENT = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(600)"
)


def job(*command, timeout_s=30.0):
    return Job(command=command, what="the job", timeout_s=timeout_s)


def python(code, *arguments, timeout_s=30.0):
    return job(sys.executable, "-c", code, *map(str, arguments), timeout_s=timeout_s)


def gone(pid):
    """Whether a process has ended; a zombie has."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_gives_exit_code_and_both_streams():
    ended = run(
        python("import sys; print('out'); print('err', file=sys.stderr); exit(3)")
    )
    assert ended.code == 3
    assert {"out", "err"} == set(ended.text.split())


def test_program_that_is_missing_is_one_line():
    with pytest.raises(DeviceError, match="the job: cannot start /no/such/program"):
        run(job("/no/such/program"))


def test_program_that_takes_too_long_is_killed_with_its_children(tmp_path):
    note = tmp_path / "pid"
    # A shell has noted its child long before, however busy the machine is.
    parent = ("sh", "-c", 'sleep 600 & echo $! > "$0"; wait', str(note))
    with pytest.raises(DeviceError, match=r"did not end in 2 s and was killed"):
        run(job(*parent, timeout_s=2.0))
    assert gone(int(note.read_text()))


def test_interrupt_kills_every_program_with_its_children(tmp_path):
    notes = [tmp_path / "one", tmp_path / "two"]

    def interrupt():
        if all(note.is_file() and note.read_text() for note in notes):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together([python(PARENT, note) for note in notes], tick=interrupt)
    assert all(gone(int(note.read_text())) for note in notes)


def test_one_that_cannot_start_takes_the_other_with_it(tmp_path):
    note = tmp_path / "pid"
    code = f"import os; open({str(note)!r}, 'w').write(str(os.getpid()))"
    with pytest.raises(DeviceError, match="cannot start"):
        run_together([python(f"{code}; import time; time.sleep(600)"), job("/no")])
    assert not note.exists() or gone(int(note.read_text()))


def test_results_come_in_the_order_given():
    slow, quick = "import time; time.sleep(0.5); print(1)", "print(2)"
    ended = run_together([python(slow), python(quick)])
    assert [end.text.strip() for end in ended] == ["1", "2"]


def test_death_by_signal_is_named():
    ended = run(python("import os; os.kill(os.getpid(), 11)"))
    assert (ended.code, ended.last_line) == (-11, "died of SIGSEGV")


def test_environment_is_the_given_one_alone():
    named = Job(
        command=("/usr/bin/env",), what="env", timeout_s=30.0, environment={"A": "b"}
    )
    assert run(named).text.split() == ["A=b"]
    assert "A" not in os.environ
