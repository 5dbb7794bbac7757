"""Classify pictures with a delivered bundle: files, folders, stdin, a camera."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .answers import Answers, print_error
from .arguments import batch_size, frame_size, picture_size, positive, seconds
from .bundle import default_folder, is_callers_mistake
from .camera import open_camera
from .classifier import Classifier
from .contract import ContractError
from .frames import FORMATS, CameraError
from .inputs import find_pictures, is_folder, read_paths, read_picture
from .installed import RUNTIMES
from .notify import notify, watchdog_interval_s
from .pictures import PictureError
from .stop import StopRequest
from .watch import FolderWatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .frames import FrameSource

STDIN = Path("-")
DEFAULT_SIZE = (640, 480)
CAMERA_INTERVAL_S = 1.0
FOLDER_INTERVAL_S = 0.5
# Looking without a pause would take a core for nothing.
SHORTEST_LOOK_S = 0.05
# A USB cable's odd error passes; ten damaged frames in a row do not.
MAX_BAD_FRAMES = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Classify from the command line.

    Returns:
        0, also when a signal ended `--watch`; 1 if a picture, the camera or the bundle
        could not be read, or a signal came before the last picture; 2 for a bad value.
    """
    options = _parse(arguments)
    folder = options.folder or default_folder()
    answers = Answers(as_json=options.json)
    try:
        with StopRequest() as stop:
            classifier = Classifier(
                folder,
                options.variant,
                threads=options.threads,
                runtime=options.runtime,
                batch=options.batch,
            )
            if options.picture_size:
                classifier.resize(*options.picture_size)
            return _Run(classifier, options, answers, stop).run()
    except BrokenPipeError:
        # The reader (such as `head`) has what it wanted; Python would complain again
        # when it flushes at exit.
        _abandon_output()
        return 0
    except ContractError as error:
        print_error(error)
        return 2 if is_callers_mistake(folder, error) else 1
    except OSError as error:
        _abandon_output()
        print_error(f"answers cannot be written ({error.strerror})")
        return 1


class _Run:
    """One run of the program: what was asked for, and how to do it."""

    def __init__(
        self,
        classifier: Classifier,
        options: argparse.Namespace,
        answers: Answers,
        stop: StopRequest,
    ) -> None:
        self._classifier, self._options = classifier, options
        self._answers, self._stop = answers, stop

    def run(self) -> int:
        """Classify whatever was asked for; give the exit code."""
        if self._options.camera:
            return self._run_camera()
        if self._options.watch:
            return self._watch_folders()
        if self._options.stdin_list:
            self._classify_list()
        else:
            self._classify_all(self._find(self._options.paths))
        if self._stop.requested:
            self._answers.fail(
                f"interrupted after {self._answers.given} pictures; run it again for "
                "the rest"
            )
        return 1 if self._answers.failures else 0

    def _find(self, given: Iterable[Path]) -> Iterator[Path | bytes]:
        """Give files and what stdin holds; what cannot be read costs a line."""
        for path in given:
            try:
                if path == STDIN:
                    yield read_picture(self._stop)
                    continue
                for found in find_pictures([path]):
                    if self._stop.requested:
                        return
                    yield found
            except PictureError as error:
                self._answers.fail(error)

    def _classify_all(self, pictures: Iterable[Path | bytes]) -> None:
        stream = self._classifier.stream(pictures, self._options.top)
        for picture, answer in stream:
            name = "-" if isinstance(picture, bytes) else str(picture)
            if not isinstance(answer, PictureError):
                self._answers.answer_file(name, answer)
            elif isinstance(picture, bytes):
                self._answers.fail(f"-: {answer}")
            else:
                self._answers.fail(answer)

    def _classify_list(self) -> None:
        """Answer each line of stdin before the next one has to be there."""
        try:
            for path in read_paths(self._stop):
                self._classify_all(self._find([path]))
        except PictureError as error:
            self._answers.fail(error)
        if not (self._answers.given or self._answers.failures or self._stop.requested):
            self._answers.fail("expected paths on stdin, one a line; received none")

    def _watch_folders(self) -> int:
        interval = max(SHORTEST_LOOK_S, self._interval(FOLDER_INTERVAL_S))
        watch = FolderWatch(self._options.paths, interval)
        notify("READY=1")
        for path, final in watch.wait(self._stop):
            try:
                guesses = self._classifier.classify(path, self._options.top)
            except PictureError as error:
                if final:
                    self._answers.fail(error)
                else:
                    watch.postpone(path)
            else:
                self._answers.answer_file(str(path), guesses)
        notify("STOPPING=1")
        return 0

    def _run_camera(self) -> int:
        width, height = self._options.size or DEFAULT_SIZE
        camera = open_camera(
            self._options.camera, self._options.pixel_format or "auto", width, height
        )
        try:
            return self._follow(camera)
        finally:
            notify("STOPPING=1")
            camera.close()

    def _follow(self, camera: FrameSource) -> int:
        """Classify frames: one, or with --watch one an interval until the end."""
        notify("READY=1")
        interval = self._interval(CAMERA_INTERVAL_S)
        number = damaged = 0
        while not self._stop.requested:
            due = time.monotonic() + interval
            frame = camera.read(self._stop)
            if frame is None:
                break
            number += 1
            try:
                picture = frame.rgb(self._classifier.bundle.pipeline)
                guesses = self._classifier.classify(picture, self._options.top)
            except PictureError as error:
                damaged += 1
                self._answers.fail(f"{camera.name}: frame {number}: {error}")
                if damaged == MAX_BAD_FRAMES:
                    raise CameraError(
                        f"{camera.name}: {damaged} damaged frames in a row; check "
                        "cable and power, or take another --pixel-format"
                    ) from error
                continue
            damaged = 0
            self._answers.answer_frame(camera.name, number, guesses)
            if not self._options.watch:
                return 0
            self._rest_until(due)
        if self._options.watch:
            return 0
        raise CameraError(f"{camera.name}: ended before a frame could be classified")

    def _rest_until(self, due: float) -> None:
        """Sleep, telling systemd's watchdog now and then that all is well."""
        notify("WATCHDOG=1")
        longest = watchdog_interval_s()
        while not self._stop.requested:
            left = due - time.monotonic()
            if left <= 0:
                return
            self._stop.wait(left if longest is None else min(left, longest))
            notify("WATCHDOG=1")

    def _interval(self, default: float) -> float:
        given: float | None = self._options.interval
        return default if given is None else given


def _abandon_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    sources = [bool(options.paths), options.stdin_list, options.camera is not None]
    if sum(sources) != 1:
        parser.error("expected PATH, --stdin-list or --camera, and one of them only")
    if options.watch and options.stdin_list:
        parser.error("--stdin-list answers lines as they come; leave --watch out")
    if options.watch and not options.camera:
        for path in options.paths:
            if not is_folder(path):
                parser.error(f"--watch takes folders or a camera; {path} is neither")
    if options.interval is not None and not options.watch:
        parser.error("--interval needs --watch")
    if options.camera is None and (options.size or options.pixel_format):
        parser.error("--size and --pixel-format need --camera")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="classify", description="Name what pictures show."
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="picture, folder, or - for one picture's bytes on stdin",
    )
    parser.add_argument(
        "--stdin-list", action="store_true", help="read paths from stdin, one a line"
    )
    parser.add_argument(
        "--camera",
        metavar="NAME",
        help="auto, csi, usb, a device such as /dev/video0, or a recording of frames",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="go on until a signal: new pictures of a folder, or a camera's frames",
    )
    parser.add_argument(
        "--interval",
        type=seconds,
        help="seconds between frames (1) or looks at a folder (0.5)",
    )
    parser.add_argument(
        "--size", type=frame_size, help="of the camera's frames (640x480)"
    )
    parser.add_argument(
        "--pixel-format",
        choices=FORMATS,
        help="of a USB camera's frames (the first that it has) or a recording's",
    )
    parser.add_argument("--folder", type=Path, default=None, help="the bundle")
    parser.add_argument("--variant", default=None, help="recipe, such as int8")
    parser.add_argument("--top", type=positive, default=3, help="guesses a picture")
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument(
        "--batch",
        type=batch_size,
        help="pictures of a folder at once (what the bundle says is best)",
    )
    parser.add_argument(
        "--picture-size",
        type=picture_size,
        help="size that pictures are brought to, for models that take several",
    )
    parser.add_argument("--runtime", choices=("auto", *RUNTIMES), default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    return parser


if __name__ == "__main__":
    sys.exit(main())
