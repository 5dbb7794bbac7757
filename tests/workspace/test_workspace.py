import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from small_disks import small_disk

from edgedeploy.errors import WorkspaceError
from edgedeploy.workspace import (
    Workspace,
    atomic_file,
    cache_folder,
    code_digest,
    file_digest,
    json_digest,
    make_folder,
    read_json,
    recall_json,
    stamp_of,
    write_bytes,
    write_json,
)

# Independent values: printf abc | sha256sum, printf '{"a":1,"b":[2]}' | sha256sum.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
A1_B2 = "0855bfc20eb6cfaa4be7d6b510c63dd22997718bddadcb1a4915cec3a16145b9"


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python process that prints "ready" when it is where we want it."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_when_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


@pytest.fixture
def workspace(tmp_path):
    return Workspace(root=tmp_path, model="tiny")


@pytest.fixture
def stage(workspace):
    """A stage that writes its input to a file and into a folder, and counts runs."""

    class Stage:
        runs = 0
        file = workspace.folder / "out.txt"
        folder = workspace.folder / "many"

        def run(self, value="a"):
            def action():
                self.runs += 1
                write_bytes(self.file, value.encode())
                write_bytes(self.folder / "deep" / "one.txt", value.encode())

            return workspace.run_stage(
                "make",
                inputs={"value": value},
                outputs=[self.file, self.folder],
                action=action,
            )

    return Stage()


# Atomic files


def test_file_appears_with_its_folders(tmp_path):
    with atomic_file(tmp_path / "a" / "b" / "x.bin") as temporary:
        temporary.write_bytes(b"abc")
        assert not (tmp_path / "a" / "b" / "x.bin").exists()
        assert temporary.parent == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b" / "x.bin").read_bytes() == b"abc"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["x.bin"]


def test_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    write_bytes(tmp_path / "x", b"old")

    def fail():
        with atomic_file(tmp_path / "x") as temporary:
            temporary.write_bytes(b"new, but wro")
            raise KeyError("the writer's own")

    with pytest.raises(KeyError, match="the writer's own"):
        fail()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"x": b"old"}


def test_killed_writer_leaves_nothing_visible_and_the_next_build_clears_up(workspace):
    write_bytes(workspace.folder / "sub" / "x", b"old")
    writer = python(
        """
        import sys, time
        from pathlib import Path
        from edgedeploy.workspace import atomic_file
        with atomic_file(Path(sys.argv[1])) as temporary:
            temporary.write_bytes(b"half")
            print("ready", flush=True)
            time.sleep(60)
        """,
        workspace.folder / "sub" / "x",
    )
    kill_when_ready(writer)
    left = {path.name for path in (workspace.folder / "sub").iterdir()}
    assert len(left) == 2
    assert all(name == "x" or name.startswith(".") for name in left)
    assert (workspace.folder / "sub" / "x").read_bytes() == b"old"
    with workspace.exclusive(pytest.fail):
        assert {path.name for path in (workspace.folder / "sub").iterdir()} == {"x"}


def test_stale_file_that_cannot_be_removed_is_one_error(workspace):
    (workspace.folder / ".model-x.partial").mkdir(parents=True)
    with (
        pytest.raises(WorkspaceError, match=r"\.model-x\.partial: Is a directory"),
        workspace.exclusive(pytest.fail),
    ):
        pytest.fail("entered")
    # The lock is free again.
    (workspace.folder / ".model-x.partial").rmdir()
    with workspace.exclusive(pytest.fail):
        pass


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_file_gets_what_the_umask_allows(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "x", b"abc")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode


def test_writers_at_once_leave_one_whole_file(tmp_path):
    contents = [bytes([n]) * 200_000 for n in range(8)]
    threads = [
        threading.Thread(target=write_bytes, args=(tmp_path / "x", content))
        for content in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "x").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_full_disk_keeps_the_old_file_and_says_so(tmp_path):
    with small_disk(tmp_path / "small", "64k") as disk:
        write_bytes(disk / "x", b"old")
        with pytest.raises(WorkspaceError, match="No space left on device; free some"):
            write_bytes(disk / "x", bytes(1 << 20))
        assert {p.name: p.read_bytes() for p in disk.iterdir()} == {"x": b"old"}


def test_folder_in_the_place_of_a_file_is_one_error(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(WorkspaceError, match="x: Is a directory; a folder is in its"):
        write_bytes(tmp_path / "x", b"abc")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_file_in_the_place_of_a_folder_is_one_error(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    with pytest.raises(WorkspaceError, match="x/y: Not a directory"):
        make_folder(tmp_path / "x" / "y")
    with pytest.raises(WorkspaceError, match="x: File exists"):
        write_bytes(tmp_path / "x" / "z", b"")


def test_too_long_name_is_one_error(tmp_path):
    with pytest.raises(WorkspaceError, match="File name too long; take a shorter"):
        write_bytes(tmp_path / ("x" * 300), b"")


def test_error_of_the_writer_names_the_file_that_is_to_blame(tmp_path):
    def copy():
        with atomic_file(tmp_path / "copy") as temporary:
            temporary.write_bytes((tmp_path / "source").read_bytes())

    with pytest.raises(WorkspaceError, match="source: No such file"):
        copy()


def test_read_only_folder_is_one_error(tmp_path, monkeypatch):
    if os.geteuid():
        tmp_path.chmod(0o500)
    else:

        def refuse(*arguments, **options):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        # The superuser is refused by read-only file systems alone.
        monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(WorkspaceError, match="make it readable and writable"):
        write_bytes(tmp_path / "x", b"abc")
    tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


# JSON and digests


def test_json_is_utf8_with_a_final_newline_and_reads_back(tmp_path):
    value = {"b": "Käfer", "a": [1, 2.5, None, True]}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_bytes()
    assert text.startswith('{\n  "b": "Käfer",'.encode())
    assert text.endswith(b"}\n")
    assert read_json(tmp_path / "x.json") == value


def test_json_with_a_path_that_is_not_utf8_reads_back(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    write_json(tmp_path / "x.json", {name: 1})
    assert (tmp_path / "x.json").read_bytes().isascii()
    assert read_json(tmp_path / "x.json") == {name: 1}


def test_json_refuses_what_no_reader_understands(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": 1} x'])
def test_damaged_json_is_one_error(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(WorkspaceError, match=r"x\.json: not valid JSON .*delete it"):
        read_json(tmp_path / "x.json")


def test_missing_file_is_one_error(tmp_path):
    for read in (read_json, file_digest, stamp_of):
        with pytest.raises(WorkspaceError, match="nowhere: No such file"):
            read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "content",
    [None, b"", b"[1]", b"{", b"\xff", b"[" * 100_000],
    ids=["missing", "empty", "list", "cut", "not-utf-8", "deep"],
)
def test_json_that_may_be_damaged_is_recalled_as_empty(tmp_path, content):
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    assert recall_json(tmp_path / "x.json") == {}


def test_json_is_recalled(tmp_path):
    (tmp_path / "x.json").write_text('{"a": [1]}')
    assert recall_json(tmp_path / "x.json") == {"a": [1]}


def test_digests_are_those_of_sha256sum(tmp_path):
    write_bytes(tmp_path / "x", b"abc")
    assert file_digest(tmp_path / "x") == ABC
    assert json_digest({"b": [2], "a": 1}) == A1_B2


def test_digest_of_our_code_takes_folders_and_files_apart():
    assert code_digest("choose.py") == code_digest("choose.py")
    digests = {code_digest(name) for name in ("choose.py", "quantize", "specs.py")}
    assert len(digests) == 3


def test_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEDEPLOY_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("EDGEDEPLOY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "edgedeploy"


# Stages


def test_stage_runs_once(stage):
    assert [stage.run(), stage.run(), stage.runs] == [True, False, 1]


def test_stage_runs_again_when_an_input_changes(stage):
    stage.run("a")
    assert stage.run("b")
    assert stage.file.read_text() == "b"
    assert not stage.run("b")


@pytest.mark.parametrize(
    "damage",
    [
        lambda stage: stage.file.write_text("edited"),
        lambda stage: stage.file.write_text("b"),  # As long as before.
        lambda stage: stage.file.unlink(),
        lambda stage: (stage.folder / "deep" / "one.txt").write_text("edited"),
        lambda stage: (stage.folder / "deep" / "one.txt").unlink(),
        lambda stage: (stage.folder / "extra.txt").write_text("extra"),
        lambda stage: shutil.rmtree(stage.folder),
        lambda stage: shutil.rmtree(stage.file.parent),
    ],
    ids=["edit", "swap", "delete", "edit-in", "delete-in", "extra", "rmtree", "all"],
)
def test_stage_runs_again_when_an_output_is_not_as_it_left_it(stage, damage):
    stage.run()
    os.utime(stage.file, ns=(1, 1))
    damage(stage)
    assert stage.run()
    assert stage.file.read_text() == "a"
    assert (stage.folder / "deep" / "one.txt").read_text() == "a"


def test_stage_is_skipped_when_only_times_changed(stage):
    stage.run()
    for path in (stage.file, stage.folder / "deep" / "one.txt"):
        os.utime(path, ns=(1, 1))
    assert not stage.run()


def test_stage_that_failed_runs_again(workspace, stage):
    stage.run()

    def fail():
        write_bytes(stage.file, b"b")
        raise WorkspaceError("no")

    with pytest.raises(WorkspaceError, match="no"):
        workspace.run_stage(
            "make",
            inputs={"value": "b"},
            outputs=[stage.file, stage.folder],
            action=fail,
        )
    # Neither the old nor the new input may count as done now.
    assert stage.run("a")
    assert stage.file.read_text() == "a"


def test_killed_stage_runs_again(workspace, stage):
    stage.run()
    killed = python(
        """
        import sys, time
        from pathlib import Path
        from edgedeploy.workspace import Workspace, write_bytes
        workspace = Workspace(root=Path(sys.argv[1]), model="tiny")
        file, folder = workspace.folder / "out.txt", workspace.folder / "many"
        def action():
            write_bytes(file, b"b")
            print("ready", flush=True)
            time.sleep(60)
        with workspace.exclusive(print):
            workspace.run_stage(
                "make", inputs={"value": "b"}, outputs=[file, folder], action=action
            )
        """,
        workspace.root,
    )
    kill_when_ready(killed)
    with workspace.exclusive(pytest.fail):
        assert stage.run("a")
        assert stage.file.read_text() == "a"


def test_stage_without_its_output_is_an_error_and_not_done(workspace):
    for _ in range(2):
        with pytest.raises(WorkspaceError, match="stage make left no "):
            workspace.run_stage(
                "make",
                inputs={},
                outputs=[workspace.folder / "never"],
                action=lambda: None,
            )


@pytest.mark.parametrize(
    "change",
    [
        lambda record: [],
        lambda record: "text",
        lambda record: record | {"outputs": []},
        lambda record: record | {"outputs": {"out.txt": 5}},
        lambda record: record | {"outputs": {"out.txt": {}, "many/deep/one.txt": {}}},
        lambda record: {"outputs": record["outputs"]},
    ],
)
def test_damaged_record_counts_as_none(workspace, stage, change):
    stage.run()
    path = workspace.folder / ".stages" / "make.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    workspace.stage_outputs("make")
    assert stage.run()


def test_outputs_of_a_stage_are_listed(workspace, stage):
    stage.run("abc")
    assert workspace.stage_outputs("make") == {
        "many/deep/one.txt": {"sha256": ABC, "size_bytes": 3},
        "out.txt": {"sha256": ABC, "size_bytes": 3},
    }
    assert workspace.stage_outputs("never-run") == {}


def test_paths_are_below_the_models_folder(tmp_path):
    workspace = Workspace(root=tmp_path, model="tiny")
    assert workspace.lock_path == tmp_path / "edgedeploy.lock"
    assert workspace.variant_model("int8") == (
        tmp_path / "build" / "tiny" / "variants" / "int8" / "model.tflite"
    )
    assert workspace.variant_facts("int8").name == "variant.json"


# Two at once

HOLD = """
import sys
from pathlib import Path
from edgedeploy.workspace import Workspace
workspace = Workspace(root=Path(sys.argv[1]), model=sys.argv[2])
with workspace.exclusive(print):
    print("ready", flush=True)
    sys.stdin.read()
"""


def holder(root: Path, model: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root), model],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_second_process_says_that_it_waits_and_gets_in_afterwards(workspace):
    first = holder(workspace.root, "tiny")
    said = []

    def waiting(line):
        said.append(line)
        # Only when we wait does the other one leave.
        first.communicate()

    with workspace.exclusive(waiting):
        assert first.returncode == 0
    assert len(said) == 1
    assert f"another edgedeploy is working in {workspace.folder}" in said[0]


def test_killed_process_does_not_keep_others_out(workspace):
    first = holder(workspace.root, "tiny")
    first.kill()
    first.communicate()
    with workspace.exclusive(pytest.fail):
        pass


def test_other_models_folder_is_free(workspace):
    first = holder(workspace.root, "other")
    with workspace.exclusive(pytest.fail):
        pass
    first.communicate()


def test_a_folder_that_is_removed_while_it_is_waited_for_is_made_anew(tmp_path):
    workspace = Workspace(root=tmp_path, model="tiny")
    waiting, entered = threading.Event(), []

    def enter():
        with workspace.exclusive(lambda _line: waiting.set()):
            entered.append(workspace.folder.is_dir())

    with workspace.exclusive(print):
        other = threading.Thread(target=enter)
        other.start()
        assert waiting.wait(30)
        (workspace.folder / ".lock").unlink()
        workspace.folder.rmdir()
    other.join(30)
    assert entered == [True]
