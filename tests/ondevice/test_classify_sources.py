"""Where pictures come from, through the program as a user starts it."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import edgedeploy.ondevice
from edgedeploy.ondevice.classifier import Classifier
from edgedeploy.ondevice.pictures import PictureError
from edgedeploy.ondevice.yuv import convert_yuyv

PATIENCE_S = 60


class Program:
    """bin/classify of a bundle, running."""

    def __init__(self, bundle, *arguments, **environment):
        self.child = subprocess.Popen(
            [sys.executable, "-m", "ondevice.classify", "--json", *map(str, arguments)],
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            | {"TF_CPP_MIN_LOG_LEVEL": "3", **environment},
            cwd=bundle,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._rest = b""

    def answer(self):
        """The next line of stdout."""
        stdout = self.child.stdout
        while b"\n" not in self._rest:
            assert select.select([stdout], [], [], PATIENCE_S)[0], "no answer in time"
            chunk = os.read(stdout.fileno(), 65536)
            assert chunk, self.child.stderr.read().decode()
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def end(self, sent=None, number=None):
        """Send what is left, or a signal; give exit code, answers and errors."""
        if number is not None:
            self.child.send_signal(number)
        out, err = self.child.communicate(sent, timeout=PATIENCE_S)
        answers = [json.loads(line) for line in (self._rest + out).splitlines()]
        lines = [line for line in err.decode().splitlines() if "INFO" not in line]
        return self.child.returncode, answers, lines


@pytest.fixture
def start(tiny_bundle):
    """Start the program; what still runs at the end is killed."""
    shutil.copytree(Path(edgedeploy.ondevice.__file__).parent, tiny_bundle / "ondevice")
    started = []

    def run(*arguments, **environment):
        started.append(Program(tiny_bundle, *arguments, **environment))
        return started[-1]

    yield run
    for program in started:
        program.child.kill()
        program.child.wait()


@pytest.fixture
def expected(tiny_bundle):
    """Scores of the golden pictures, as promised, by number."""
    document = json.loads((tiny_bundle / "contract.json").read_text())
    return {
        Path(vector["file"]).stem: vector["expected"]["int8"]["top_k"][:3]
        for vector in document["golden"]
    }


def scores(answer):
    return [[guess["index"], guess["score"]] for guess in answer["top"]]


def test_picture_on_stdin_gets_the_promised_answer(start, tiny_bundle, expected):
    picture = (tiny_bundle / "golden/2.png").read_bytes()
    code, (answer,), errors = start("-").end(picture)
    assert (code, errors) == (0, [])
    assert answer["file"] == "-"
    assert scores(answer) == expected["2"]


@pytest.mark.parametrize(
    ("sent", "reason"), [(b"", "received none"), (b"no picture", "not a JPEG")]
)
def test_no_picture_on_stdin_costs_one_line_and_exit_1(start, sent, reason):
    code, answers, errors = start("-").end(sent)
    assert (code, answers, len(errors)) == (1, [], 1)
    assert reason in errors[0]


def test_list_on_stdin_is_answered_line_by_line(start, tiny_bundle, expected):
    program = start("--stdin-list")
    for number in ("1", "2"):
        path = tiny_bundle / f"golden/{number}.png"
        program.child.stdin.write(f"{path}\n".encode())
        program.child.stdin.flush()
        # The next line is not written before this answer is there.
        assert scores(program.answer()) == expected[number]
    missing, last = tiny_bundle / "missing.png", tiny_bundle / "golden/3.png"
    code, (answer,), errors = program.end(f"\n{missing}\n{last}".encode())
    assert (code, len(errors)) == (1, 1)
    assert "missing.png" in errors[0]
    assert scores(answer) == expected["3"]


def test_odd_bytes_in_a_list_cost_one_line_each(start, tiny_bundle):
    odd = os.fsencode(tiny_bundle) + b"/\xff\xfe.png"
    shutil.copy(tiny_bundle / "golden/1.png", odd)
    code, answers, errors = start("--stdin-list").end(
        odd + b"\n\0\n" + b"x" * 5000 + b"\n"
    )
    assert (code, len(answers), len(errors)) == (1, 1, 2)
    assert start("--stdin-list").end(b"\n\n")[0] == 1


@contextlib.contextmanager
def listen(folder=None):
    """Listen as systemd does; gives the socket and its name for NOTIFY_SOCKET.

    Args:
        folder: Where its file is to be; without one, it has a free name of the
            abstract namespace.
    """
    with (
        contextlib.ExitStack() as stack,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
    ):
        channel.settimeout(PATIENCE_S)
        if folder is None:
            channel.bind("")
            yield channel, "@" + channel.getsockname()[1:].decode()
            return
        # The kernel takes names of at most 107 bytes, and tmp_path may be longer.
        opened = os.open(folder, os.O_PATH)
        stack.callback(os.close, opened)
        name = f"/proc/{os.getpid()}/fd/{opened}/socket"
        channel.bind(name)
        yield channel, name


def test_watched_folder_answers_complete_new_pictures_until_a_signal(
    start, tiny_bundle, expected, tmp_path
):
    folder = tmp_path / "incoming"
    folder.mkdir()
    shutil.copy(tiny_bundle / "golden/1.png", folder / "old.png")
    with listen(tmp_path) as (channel, name):
        program = start("--watch", folder, "--interval", "0.1", NOTIFY_SOCKET=name)
        assert channel.recv(100) == b"READY=1"
        data = (tiny_bundle / "golden/2.png").read_bytes()
        with (folder / "slow.png").open("wb") as file:
            file.write(data[:-100])
            file.flush()
            # Long enough for several looks, all of which find half a picture.
            time.sleep(1)
            assert not select.select([program.child.stdout], [], [], 0)[0]
            file.write(data[-100:])
        answer = program.answer()
        assert answer["file"] == str(folder / "slow.png")
        assert scores(answer) == expected["2"]
        code, answers, errors = program.end(number=signal.SIGTERM)
        assert (code, answers, errors) == (0, [], [])
        assert channel.recv(100) == b"STOPPING=1"


def test_watched_folder_that_vanishes_ends_with_exit_1(start, tmp_path):
    folder = tmp_path / "stick"
    folder.mkdir()
    with listen() as (channel, name):
        program = start("--watch", folder, NOTIFY_SOCKET=name)
        channel.recv(100)
    folder.rmdir()
    code, _, errors = program.end()
    assert code == 1
    assert len(errors) == 1
    assert "cannot be watched" in errors[0]


def record(path, frames, seed=5):
    """Write frames of smooth colours as YUYV of 64x48; give their RGB."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (frames, 6, 4, 4), np.uint8)
    packed = small.repeat(8, axis=1).repeat(8, axis=2)
    path.write_bytes(packed.tobytes())
    return [convert_yuyv(one.tobytes(), 64, 48, 128) for one in packed]


def test_recording_is_classified_frame_by_frame(start, tiny_bundle, tmp_path):
    pictures = record(tmp_path / "frames.raw", 3)
    camera = ("--camera", tmp_path / "frames.raw", "--pixel-format", "YUYV")
    code, answers, errors = start(
        *camera, "--size", "64x48", "--watch", "--interval", "0"
    ).end()
    assert (code, errors) == (0, [])
    promised = Classifier(tiny_bundle).predict(pictures, 3)
    for number, (answer, guesses) in enumerate(zip(answers, promised, strict=True), 1):
        assert (answer["camera"], answer["frame"]) == (str(camera[1]), number)
        assert answer["time"].endswith("Z")
        assert scores(answer) == [[g.index, g.score] for g in guesses]
    assert len({json.dumps(answer["top"]) for answer in answers}) == 3
    code, answers, _ = start(*camera, "--size", "64x48").end()
    assert (code, len(answers)) == (0, 1)


def test_camera_tells_systemd_that_it_lives_and_ends_on_a_signal(start, tmp_path):
    record(tmp_path / "frames.raw", 2)
    with listen() as (channel, name):
        program = start(
            "--camera", tmp_path / "frames.raw", "--pixel-format", "YUYV",
            "--size", "64x48", "--watch", "--interval", "3600",
            NOTIFY_SOCKET=name, WATCHDOG_USEC="100000",
        )  # fmt: skip
        program.answer()
        # It sleeps for an hour, and says so every 50 ms.
        told = [channel.recv(100) for _ in range(4)]
        assert told == [b"READY=1"] + [b"WATCHDOG=1"] * 3
        code, answers, errors = program.end(number=signal.SIGINT)
        assert (code, answers, errors) == (0, [], [])


def test_damaged_frames_cost_a_line_each_and_too_many_end_it(start, tmp_path):
    damaged = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xd9"
    (tmp_path / "frames.mjpg").write_bytes(damaged * 20)
    code, answers, errors = start(
        "--camera", tmp_path / "frames.mjpg", "--pixel-format", "MJPG",
        "--watch", "--interval", "0",
    ).end()  # fmt: skip
    assert (code, answers, len(errors)) == (1, [], 11)
    assert "frame 10: " in errors[9]
    assert "10 damaged frames in a row" in errors[10]


@pytest.mark.parametrize(
    ("camera", "reason"),
    [
        ("/dev/video987", "no such device file"),
        ("/dev/null", "not a video device"),
        ("usb", "no USB camera"),
    ],
)
def test_camera_that_cannot_be_had_costs_one_line_and_exit_1(start, camera, reason):
    if camera == "usb" and list(Path("/dev").glob("video*")):
        pytest.skip("this machine has video devices; needs one without")
    code, answers, errors = start("--camera", camera).end()
    assert (code, answers, len(errors)) == (1, [], 1)
    assert reason in errors[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["x.png", "--stdin-list"],
        ["x.png", "--camera", "auto"],
        ["--stdin-list", "--watch"],
        ["-", "--watch"],
        ["x.png", "--watch"],
        ["x.png", "--interval", "1"],
        ["x.png", "--size", "640x480"],
        ["--camera", "auto", "--size", "641x480"],
        ["--camera", "auto", "--size", "640"],
        ["--camera", "auto", "--watch", "--interval", "-1"],
        ["--camera", "auto", "--watch", "--interval", "nan"],
        ["--camera", "auto", "--pixel-format", "H264"],
    ],
)
def test_combination_that_makes_no_sense_exits_2(arguments, capsys):
    from edgedeploy.ondevice.classify import main

    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("classify: error: ")


def test_signal_in_mid_list_finishes_the_picture_and_exits_1(start, tiny_bundle):
    program = start("--stdin-list")
    program.child.stdin.write(f"{tiny_bundle}/golden/1.png\n".encode())
    program.child.stdin.flush()
    program.answer()
    code, answers, errors = program.end(number=signal.SIGINT)
    assert (code, answers, len(errors)) == (1, [], 1)
    assert "interrupted after 1 pictures" in errors[0]


def test_full_disk_behind_stdout_costs_one_line(start, tiny_bundle):
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is missing; needs Linux")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ondevice.classify", "golden/1.png"],
            cwd=tiny_bundle, stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    errors = [x for x in done.stderr.decode().splitlines() if "INFO" not in x]
    assert done.returncode == 1
    assert errors == ["classify: answers cannot be written (No space left on device)"]


def test_stream_goes_on_after_a_bad_picture_and_takes_one_ahead(tiny_bundle):
    taken = []

    def pictures():
        for name in ("1.png", "none.png", "2.png", "3.png"):
            taken.append(name)
            yield tiny_bundle / "golden" / name

    classifier = Classifier(tiny_bundle)
    stream = classifier.stream(pictures(), 1)
    path, answer = next(stream)
    assert (path.name, taken) == ("1.png", ["1.png", "none.png"])
    assert answer == classifier.classify(path, 1)
    rest = list(stream)
    assert isinstance(rest[0][1], PictureError)
    assert [path.name for path, _ in rest] == ["none.png", "2.png", "3.png"]
    with pytest.raises(PictureError, match=r"none\.png"):
        classifier.predict([tiny_bundle / "golden/none.png"])
    assert classifier.predict([]) == []
