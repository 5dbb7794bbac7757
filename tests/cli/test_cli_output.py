"""What reaches stdout, stderr and a terminal."""

import json
import os
import pty
import re
import select
import subprocess

import pytest

FETCH = ("--model", "tiny.toml")
ANSI = re.compile(r"\x1b|\r")


def test_json_is_alone_on_stdout(project):
    done = project.run("fetch", *FETCH, "--json")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer["model"] == "tiny"
    assert answer["weights"] == "colours"


def test_json_leaves_stdout_empty_on_errors(project):
    for flags in (("--model", "nope"), ("--modle", "x"), (*FETCH, "--threads", "x")):
        done = project.run("fetch", *flags, "--json")
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_json_that_fails_late_still_leaves_stdout_empty(project):
    (project.root / "tiny.keras").write_bytes(b"not a network")
    flags = ("--images", "pictures", "--recipes", "float32", "--json")
    done = project.run("convert", *FETCH, *flags)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("task", ["fetch", "models"])
@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"FORCE_COLOR": ""}])
def test_pipe_gets_neither_colours_nor_bars(project, task, variables):
    flags = FETCH if task == "fetch" else ()
    done = project.run(task, *flags, **variables)
    assert done.returncode == 0
    assert not ANSI.search(done.stdout + done.stderr)


def test_no_color_on_a_terminal_means_no_colours_and_no_bars(project):
    shown = on_a_terminal(project, "fetch", *FETCH, NO_COLOR="1")
    assert "Tiny colours" in shown
    assert not ANSI.search(shown.replace("\r\n", "\n"))


def test_terminal_gets_colours(project):
    shown = on_a_terminal(project, "fetch", *FETCH, TERM="xterm-256color")
    assert "\x1b[" in shown


@pytest.mark.parametrize(
    "words", [("fetch", *FETCH), ("models",), ("--list",), ("--help", "build")]
)
def test_text_fits_eighty_columns(project, words):
    done = project.run(*words, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    wide = [line for line in done.stdout.splitlines() if len(line) > 80]
    assert wide == []


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_reader_that_has_seen_enough_gets_no_traceback(project, flags):
    process = project.start("models", *flags)
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert err == ""
    # Cut short: neither done nor bad input.
    assert process.returncode == 1


def on_a_terminal(project, task, *flags, **variables):
    """Run a command with a terminal as its output; give what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        project.command(task, *flags),
        cwd=project.root,
        env=project.variables(**variables),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 60)
        try:
            part = os.read(ours, 1 << 16) if ready else b""
        except OSError:  # Linux's way to say that the other end is closed.
            part = b""
        if not part:
            break
        shown += part
    process.wait(timeout=60)
    os.close(ours)
    return shown.decode()


def test_what_a_task_leaves_out_names_the_task_that_measures_it(built, call):
    flags = ("--model", "tiny.toml", "--images", "pictures", "--recipes", "int8")
    code, out, err = call(built, "evaluate", *flags)
    assert code == 0, err
    said = " ".join(f"{out} {err}".split())
    assert "Size, latency and memory: not measured; inv benchmark measures it." in said


def test_table_on_a_narrow_terminal_loses_nothing(project):
    done = project.run("models", COLUMNS="40")
    assert done.returncode == 0, done.stderr
    assert "…" not in done.stdout
    assert "model efficientnet_lite0\n    weights imagenet " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 40
