"""The tasks as a user calls them, on one host and on several."""

import functools
import json

import pytest
from commands import run_here


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run a task in a folder of its own; give exit code, stdout and stderr."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")

    return functools.partial(run_here, capsys)


@pytest.fixture
def fleet(tmp_path):
    path = tmp_path / "fleet.txt"
    path.write_text("# the house\nclosed dead\nboard kitchen\nboard2 hall\n")
    return path


def test_one_host_s_failure_does_not_stop_the_rest(serve, make_bundle, call, fleet):
    server = serve()
    flags = ("--hosts", str(fleet), "--ssh-config", str(server.config))
    flags += ("--path", str(make_bundle()), "--json")
    code, out, err = call("pi.install", *flags)
    assert code == 1
    assert "error: 1 of 3 hosts failed: dead" in err.splitlines()[-1]
    hosts = json.loads(out)["hosts"]
    assert list(hosts) == ["dead", "kitchen", "hall"]
    assert {name: one["passed"] for name, one in hosts.items()} == {
        "dead": False, "kitchen": True, "hall": True,
    }  # fmt: skip
    assert "nothing listens" in hosts["dead"]["detail"]
    # The second time the two are done: their state is on the host itself.
    hosts = json.loads(call("pi.install", *flags)[1])["hosts"]
    assert hosts["kitchen"]["skipped"] is True
    assert hosts["hall"]["sent_bytes"] == 0


@pytest.mark.slow
def test_table_has_a_row_a_host(serve, make_bundle, call, fleet):
    server = serve()
    flags = ("--ssh-config", str(server.config), "--path", str(make_bundle()))
    code, out, _ = call("pi.install", "--hosts", str(fleet), *flags)
    assert code == 1
    rows = [line for line in out.splitlines() if line.startswith(("dead", "kitchen"))]
    assert any("✗" in row and "nothing listens" in row for row in rows)
    assert any("✓ installed" in row for row in rows)


def test_selftest_and_benchmark_before_an_installation_say_so(serve, call):
    server = serve()
    flags = ("--host", "board", "--ssh-config", str(server.config))
    for task in ("pi.selftest", "pi.benchmark"):
        code, _, err = call(task, *flags)
        assert code == 1
        assert err.count("\n") == 1
        assert "board: inception_v3 is not installed" in err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--host", "a", "--hosts", "b"),
        ("--host", "-oProxyCommand=x"),
        ("--hosts", "nope"),
        ("--host", "a", "--ssh-config", "nope"),
        ("--host", "a", "--path", "nope.tar.gz"),
        ("--host", "a", "--path", "."),
        ("--host", "a", "--model", "nope"),
        ("--host", "a", "--python", "9.9"),
    ],
)
def test_bad_values_are_2_and_one_line(call, words):
    code, out, err = call("pi.install", *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_bad_seconds_are_refused(call):
    assert call("pi.benchmark", "--host", "a", "--seconds", "0")[0] == 2
    assert call("pi.benchmark", "--host", "a", "--seconds", "x")[0] == 2


def test_machine_without_ssh_is_told_how_to_get_it(call, monkeypatch, make_bundle):
    archive = make_bundle()
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = call("pi.install", "--host", "a", "--path", str(archive))
    assert code == 1
    assert "apt install openssh-client" in err
