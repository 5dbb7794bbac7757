import subprocess
import sys

import pytest

from edgedeploy.errors import InputError, LockError, WorkspaceError
from edgedeploy.lockfile import Lock

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WEIGHTS = {"sha256": "ab" * 32, "name": "imagenet", "size_bytes": 3}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "edgedeploy.lock"


@pytest.fixture
def lock(path):
    return Lock(path=path, model="tiny")


def test_nothing_is_locked_without_a_file(lock, path):
    assert lock.get("weights") is None
    assert not path.exists()


def test_new_fact_is_recorded_without_a_word(lock):
    assert lock.settle("weights", WEIGHTS) is None
    assert lock.get("weights") == WEIGHTS


def test_same_fact_leaves_the_file_alone(lock, path):
    lock.settle("weights", WEIGHTS)
    before = path.stat()
    assert lock.settle("weights", dict(reversed(WEIGHTS.items()))) is None
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
    )


def test_other_fact_is_refused_with_both_values(lock, path):
    lock.settle("weights", WEIGHTS)
    before = path.read_bytes()
    with pytest.raises(
        LockError,
        match=r"edgedeploy\.lock pins another weights for tiny: "
        r"name locked imagenet, found other\. .*--update-lock",
    ):
        lock.settle("weights", WEIGHTS | {"name": "other"})
    assert path.read_bytes() == before


@pytest.mark.parametrize("how", ["asked", "update"])
def test_other_fact_is_taken_aloud_when_the_user_says_so(lock, path, how):
    lock.settle("weights", WEIGHTS)
    said = Lock(path=path, model="tiny", update=how == "update").settle(
        "weights", WEIGHTS | {"size_bytes": 4}, asked=how == "asked"
    )
    assert said == (
        "edgedeploy.lock: weights of tiny changed: size_bytes locked 3, found 4"
    )
    assert lock.get("weights")["size_bytes"] == 4


def test_value_that_is_no_table_is_compared_whole(lock):
    lock.settle("fastest", "int8")
    with pytest.raises(LockError, match="locked int8, found float16"):
        lock.settle("fastest", "float16")


def test_appearing_and_vanishing_entries_differ(lock):
    lock.settle("tools", {"numpy": "1"})
    with pytest.raises(LockError, match="keras locked None, found 3"):
        lock.settle("tools", {"numpy": "1", "keras": "3"})
    with pytest.raises(LockError, match="numpy locked 1, found None"):
        lock.settle("tools", {})


def test_message_is_short_however_much_differs(lock):
    lock.settle("tools", {f"tool{n:02}": "x" * 500 for n in range(50)})
    with pytest.raises(LockError) as caught:
        lock.settle("tools", {f"tool{n:02}": "y" * 500 for n in range(50)})
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_nulls_and_tuples_compare_as_what_toml_holds(lock):
    lock.settle("weights", {"a": (1, 2), "b": None})
    assert lock.get("weights") == {"a": [1, 2]}
    assert lock.settle("weights", {"a": [1, 2]}) is None


def test_file_reads_back_with_another_reader(lock, path):
    wheels = [{"name": "b", "sha256": "1"}, {"name": "a", "sha256": "2"}]
    lock.settle("weights", WEIGHTS | {"deep": {"z": [1.5, True], "a": "Käfer"}})
    lock.settle("fastest", "int8")
    lock.settle("wheels", wheels)
    Lock(path=path, model="other").settle("fastest", "float32")
    assert tomllib.loads(path.read_text(encoding="utf-8")) == {
        "schema": 1,
        "models": {
            "tiny": {
                "fastest": "int8",
                "weights": WEIGHTS | {"deep": {"a": "Käfer", "z": [1.5, True]}},
                # The order of a list has a meaning and stays.
                "wheels": wheels,
            },
            "other": {"fastest": "float32"},
        },
    }
    assert path.read_text().startswith("# Written by edgedeploy; commit it")


def test_equal_facts_are_equal_bytes_in_whatever_order_they_came(tmp_path):
    facts = [("a", "weights", WEIGHTS), ("b", "tools", {"t": "1"}), ("b", "x", 1)]
    texts = set()
    for number, order in enumerate([facts, facts[::-1], facts[1:] + facts[:1]]):
        path = tmp_path / str(number) / "edgedeploy.lock"
        path.parent.mkdir()
        for model, key, value in order:
            Lock(path=path, model=model).settle(key, value)
        texts.add(path.read_bytes())
    assert len(texts) == 1
    keys = [line.split(" =")[0] for line in texts.pop().decode().splitlines()]
    assert keys.index("name") < keys.index("sha256") < keys.index("size_bytes")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "schema must be 1; received None"),
        (b"schema = 2\n", "schema must be 1; received 2"),
        (b"schema = \n", "not valid TOML"),
        (b"schema = 1\nschema = 1\n", "not valid TOML"),
        (b"schema = 1\n[models.tiny]\nx = 'half", "not valid TOML"),
        (b"\xff\xfe\x00", "not valid TOML"),
        (b"schema = 1\nx = " + b"[" * 5000 + b"]" * 5000, "not valid TOML"),
        (b"schema = 1\nmodels = 3\n", "models must hold one table a model"),
        (b"schema = 1\n[models]\ntiny = 3\n", "models must hold one table a model"),
    ],
)
def test_damaged_file_is_one_error_and_stays_as_it_is(lock, path, content, complaint):
    path.write_bytes(content)
    for use in (lock.get, lambda key: lock.settle(key, WEIGHTS)):
        with pytest.raises(InputError, match=complaint) as caught:
            use("weights")
        assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_file_without_models_takes_the_first(lock, path):
    path.write_bytes(b"schema = 1\n")
    assert lock.get("weights") is None
    lock.settle("weights", WEIGHTS)
    assert lock.get("weights") == WEIGHTS


def test_folder_in_the_place_of_the_file_is_one_error(lock, path):
    path.mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        lock.get("weights")


def test_file_in_the_place_of_the_build_folder_is_one_error(lock, path):
    (path.parent / "build").write_bytes(b"")
    with pytest.raises(WorkspaceError, match="build: File exists"):
        lock.settle("weights", WEIGHTS)


def test_processes_that_build_different_models_lose_no_facts(path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edgedeploy.lockfile import Lock\n"
        "import tomlkit\n"
        "lock = Lock(path=Path(sys.argv[1]), model=sys.argv[2])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "for n in range(20):\n"
        "    lock.settle(f'fact{n:02}', n)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), f"model{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    facts = {f"fact{n:02}": n for n in range(20)}
    assert tomllib.loads(path.read_text())["models"] == {
        f"model{n}": facts for n in range(3)
    }
