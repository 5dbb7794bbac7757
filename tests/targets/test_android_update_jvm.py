"""What the app's own code makes of updates, on a JVM."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from bad_updates import BAD_TEXTS, rewrite, write_signed

from edgedeploy.resources import resource_folder
from edgedeploy.targets.android.update import KEY

HERE = Path(__file__).parent
_FIRST, _SECOND = "state.copy.partial", "state.partial"
# Where an install is killed: whether its self-test is let go on first; the file that
# holds it up there, a pipe that nobody reads; and how one sees that it has come so far.
KILLS = {
    "unpacking": (False, _FIRST, lambda store: (store / "versions/staging").is_dir()),
    "unpacked": (
        False,
        _FIRST,
        lambda store: (store / "versions/staging/update.sig").is_file(),
    ),
    "renamed": (True, _FIRST, lambda store: (store / "versions/8").is_dir()),
    "one state of two": (
        True,
        _SECOND,
        lambda store: (store / "state.copy").read_bytes().startswith(b"8 "),
    ),
}


def damage(folder, version):
    labels = folder / "store" / "versions" / str(version) / "labels.txt"
    labels.write_bytes(labels.read_bytes()[:-1])


@pytest.fixture(scope="module")
def program(compile_kotlin):
    """The app's own code with a command line, compiled."""
    sources = sorted((resource_folder("android_assets") / "kotlin/update").glob("*.kt"))
    assert sources
    return compile_kotlin(HERE / "kotlin_programs" / "Updates.kt", *sources)


@pytest.fixture
def run(program, tmp_path, update):
    """Give the store a command; its answer is the version in use, or the refusal."""

    def call(command, path=update, *more):
        words = ["java", "-Xshare:auto", "-jar", program, command]
        words += [tmp_path / "store", update.with_name(KEY), path, *more]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert not done.stderr, done.stderr
        return done.stdout.strip()

    return call


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(900)
class TestOnAJvm:
    def test_a_newer_one_is_used_and_an_older_one_never_again(self, run, write_version):
        assert run("current") == "shipped"
        assert run("install") == "7"
        assert run("current") == "7"
        assert run("install", write_version(9)) == "9"
        # Signed once and sent again.
        for replayed in (write_version(7), write_version(9), write_version(8)):
            assert "is not newer than 9" in run("install", replayed)
        assert run("roll-back") == "7"
        assert "is not newer than 9" in run("install", write_version(9))
        assert run("install", write_version(10)) == "10"
        assert run("current-newer-app") == "shipped"

    def test_what_is_not_for_this_app_is_refused(self, run, write_version, tmp_path):
        assert "needs the app's version 5" in run("install-old-app")
        assert "is for the model colours" in run("install-other-model")
        assert "is not newer than 1" in run("install", write_version(1))
        from edgedeploy.targets.android.keystore import load_debug_key

        stranger = write_version(7, key=load_debug_key(tmp_path / "other"))
        assert "not signed with the key" in run("install", stranger)
        assert run("current") == "shipped"

    def test_a_failing_self_test_keeps_what_was_in_use(
        self, run, write_version, tmp_path
    ):
        run("install")
        assert "fails its self-test: wrong answers" in run(
            "install-failing", write_version(8)
        )
        assert run("current") == "7"
        assert "is not newer than 8" in run("install", write_version(8))
        names = [path.name for path in (tmp_path / "store/versions").iterdir()]
        assert names == ["7"]

    def test_a_self_test_that_ends_the_process_is_tried_three_times(
        self, run, write_version
    ):
        run("install")
        for _ in range(3):
            assert run("install-crashing", write_version(8)) == ""
            assert run("current") == "7"
        assert "did not end its self-test 3 times" in run("install", write_version(8))
        assert run("install", write_version(9)) == "9"

    def test_a_damaged_version_is_given_up_for_the_one_before(
        self, run, write_version, tmp_path
    ):
        run("install")
        run("install", write_version(8))
        damage(tmp_path, 8)
        assert run("current") == "7"
        (tmp_path / "store/versions/7/models/float32.tflite").unlink()
        assert run("current") == "shipped"

    def test_roll_back_leaves_the_version_that_is_really_in_use(
        self, run, write_version, tmp_path
    ):
        run("install")
        run("install", write_version(8))
        damage(tmp_path, 8)
        assert run("current") == "7"
        assert run("roll-back") == "shipped"
        assert "is not newer than 8" in run("install", write_version(8))
        assert run("roll-back") == "shipped"
        assert run("install", write_version(9)) == "9"

    def test_good_version_outlives_the_damaged_one_that_came_after_it(
        self, run, write_version, tmp_path
    ):
        run("install")
        run("install", write_version(8))
        damage(tmp_path, 8)
        assert run("install", write_version(9)) == "9"
        damage(tmp_path, 9)
        assert run("current") == "7"

    def test_damaged_version_is_repaired_by_the_same_update(
        self, run, write_version, tmp_path
    ):
        run("install")
        newest = write_version(8)
        run("install", newest)
        assert "is not newer than 8" in run("install", newest)
        damage(tmp_path, 8)
        assert "is not newer than 8" in run("install", write_version(7))
        assert run("install", newest) == "8"
        assert run("current") == "8"
        damage(tmp_path, 8)
        assert run("current") == "7"
        # What fails its self-test on the way is burnt as any other.
        assert "wrong answers" in run("install-failing", newest)
        assert "is not newer than 8" in run("install", newest)
        assert run("current") == "7"

    def test_damaged_state_forgets_no_version(self, run, write_version, tmp_path):
        run("install")
        newest = write_version(9)
        run("install", newest)
        state, copy = tmp_path / "store/state", tmp_path / "store/state.copy"
        for damaged in ((state,), (copy,), (state, copy)):
            for path in damaged:
                whole = path.read_bytes()
                path.write_bytes(whole.replace(b"9", b"2"))
            assert run("current") == "9"
            assert "is not newer than 9" in run("install", write_version(8))
            assert "is not newer than 9" in run("install", newest)
        for path in (state, copy):
            path.write_bytes(b"\xff garbage")
        assert run("roll-back") == "7"
        assert "is not newer than 9" in run("install", newest)

    @pytest.mark.parametrize("command", ["install-interrupted", "install-asking"])
    def test_self_test_that_does_not_end_is_no_verdict(
        self, run, write_version, tmp_path, command
    ):
        run("install")
        newest = write_version(8)
        assert "self-test of version 8 did not end" in run(command, newest)
        assert run("current") == "7"
        assert run("install", newest) == "8"

    @pytest.mark.parametrize(
        "change",
        [
            lambda e: e.update({"../../evil": b"x"}),
            lambda e: e.update({"/evil": b"x"}),
            lambda e: e.pop("labels.txt"),
            lambda e: e.pop("update.sig"),
            lambda e: e.pop("update.txt"),
            lambda e: e.update({"labels.txt": e["labels.txt"] + bytes(1 << 20)}),
            lambda e: e.update({"update.txt": bytes(3 << 20)}),
        ],
    )
    def test_changed_archives_are_refused(self, run, update, tmp_path, change):
        path = rewrite(update, tmp_path / "bad.zip", change)
        assert run("install", path).startswith("refused: ")
        assert run("current") == "shipped"
        assert not list(tmp_path.rglob("evil"))

    def test_names_that_lead_outside_are_refused_even_when_signed(
        self, run, update, tmp_path
    ):
        from hand_made_payloads import debug_key

        def escape(entries):
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

            text = entries["update.txt"].replace(b" labels.txt", b" ../labels.txt")
            key = debug_key().private_key
            entries["update.sig"] = key.sign(text, PKCS1v15(), hashes.SHA256())
            entries["update.txt"] = text
            entries["../labels.txt"] = entries.pop("labels.txt")

        path = rewrite(update, tmp_path / "bad.zip", escape)
        assert "stays inside" in run("install", path)

    def test_cut_updates_are_refused(self, run, update, tmp_path):
        data = update.read_bytes()
        for share in (0, 1, len(data) // 2, len(data) - 1):
            (tmp_path / "cut.zip").write_bytes(data[:share])
            assert run("install", tmp_path / "cut.zip").startswith("refused: ")
        assert run("install", tmp_path / "none.zip").startswith("refused: ")

    def test_any_flipped_byte_is_refused_or_outside_the_files(self, run, update):
        refused, _, flips, _ = run("flip", update, "400").split()
        # What remains are times and such in the archive's own headers.
        assert int(refused) > 0.5 * int(flips)

    @pytest.mark.parametrize("point", KILLS)
    def test_killed_on_the_way_the_old_one_stays_and_the_new_one_can_come(
        self, run, write_version, program, update, tmp_path, point
    ):
        run("install")
        store, newest = tmp_path / "store", write_version(8)
        inside, blocked, reached = KILLS[point]
        words = ["java", "-jar", program, "install-waiting", store]
        if not inside:
            os.mkfifo(store / blocked)
        with subprocess.Popen(
            [*words, update.with_name(KEY), newest],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            if inside:
                assert process.stdout.readline() == b"testing\n"
                os.mkfifo(store / blocked)
                process.stdin.write(b"\n")
                process.stdin.flush()
            while not reached(store):
                assert process.poll() is None
                time.sleep(0.001)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        # What a file has that was begun and not synced.
        (store / blocked).unlink()
        (store / blocked).write_bytes(b"8 7 8")
        assert run("current") == "7"
        assert run("install", newest) == "8"
        assert run("current") == "8"
        names = {path.name for path in (store / "versions").iterdir()}
        assert names == {"7", "8"}

    def test_signed_texts_are_refused_that_the_verifier_refuses(
        self, run, update, tmp_path
    ):
        changes = [lambda text: text, *BAD_TEXTS.values()]
        paths = [
            write_signed(update, tmp_path / f"{number}.zip", change)
            for number, change in enumerate(changes)
        ]
        good, *bad = run("install-each", *paths).splitlines()
        assert good == "7"
        taken = [
            name
            for name, answer in zip(BAD_TEXTS, bad, strict=True)
            if not answer.startswith("refused: ")
        ]
        assert taken == []
