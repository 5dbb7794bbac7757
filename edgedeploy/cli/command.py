"""How a task is made: its flags from one table, its errors as one line."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from invoke.exceptions import Exit
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from edgedeploy.errors import EdgedeployError, InputError

INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag of the command line.

    Attributes:
        default: Value when it is not given; its type is the flag's.
        text: What --help says.
    """

    default: Any
    text: str


FLAGS: dict[str, Flag] = {
    "model": Flag(
        default="inception_v3",
        text="a name from inv models, your model's .toml, or a model file",
    ),
    "labels": Flag(default="", text="class names for a model file, a line each"),
    "trust": Flag(default=False, text="let code in a Keras file run (Lambda layers)"),
    "install": Flag(
        default="", text="make the environment of a converter: onnx, torch"
    ),
    "weights": Flag(
        default="",
        text="auto (default), a name from inv models, or a local weights file",
    ),
    "images": Flag(default="", text="folder of evaluation pictures"),
    "calibration": Flag(default="", text="folder of calibration pictures"),
    "finetune": Flag(
        default="", text="folder of pictures that int4_mixed learns from, unlabelled"
    ),
    "recipes": Flag(default="", text="comma-separated recipes, such as int8,float16"),
    "shapes": Flag(
        default="",
        text="sizes of picture to take, such as 224x224,299x299 or 160..320/32",
    ),
    "max_top1_drop": Flag(
        default=0.008, text="allowed loss of top-1 as a fraction (0.008 = 0.8 points)"
    ),
    "point_estimate": Flag(
        default=False,
        text="let the measured drop decide, not its whole 95 % interval",
    ),
    "prefer": Flag(default="smallest", text="smallest, smallest-download or fastest"),
    "max_size": Flag(default=0, text="largest int4_mixed file in bytes; 0 for any"),
    "show": Flag(
        default="", text="pictures on the page of a sweep, names, comma-separated"
    ),
    "engine": Flag(
        default="local", text="what scores pictures: local, or dask://host:port"
    ),
    "runtime": Flag(default="auto", text="auto, litert, tflite-runtime or tensorflow"),
    "threads": Flag(default=0, text="threads of evaluation; 0 for one per core"),
    "max_skipped": Flag(
        default=0.05, text="share of undecodable pictures that is still accepted"
    ),
    "calibration_stability": Flag(
        default=False,
        text="also convert twice from disjoint calibration pictures, and compare",
    ),
    "device_pipeline": Flag(
        default="",
        text="also measure how devices prepare pictures: android, mediapipe, camera, …",
    ),
    "only": Flag(
        default=False, text="package the chosen variant alone, without float32"
    ),
    "keystore": Flag(
        default="",
        text="signing key, .p12 or .jks; its password comes from "
        "EDGEDEPLOY_KEYSTORE_PASSWORD or is asked for",
    ),
    "rotated_from": Flag(
        default="", text="keystore of the key that the new one follows (APK only)"
    ),
    "package": Flag(
        default="", text="application id of the APK, such as org.example.classifier"
    ),
    "version_code": Flag(default=1, text="versionCode of the APK; grows each release"),
    "version_name": Flag(default="1.0", text="versionName of the APK"),
    "python": Flag(
        default="", text="comma-separated Pythons of the Pi bundles (3.11,3.13)"
    ),
    "arch": Flag(
        default="", text="comma-separated architectures of them (aarch64, or armv7l)"
    ),
    "kind": Flag(
        default="",
        text="what to make, comma-separated: tar, deb; assets, apk, aar, asset-pack, "
        "ai-pack, aab, update, app",
    ),
    "delivery": Flag(
        default="",
        text="when Play delivers a pack: install-time, fast-follow, on-demand",
    ),
    "min_app_version": Flag(
        default=0, text="versionCode of the oldest app that may take an update"
    ),
    "offline": Flag(default=False, text="touch no network"),
    "strict": Flag(default=False, text="never fall back to other weights"),
    "update_lock": Flag(default=False, text="accept what differs from edgedeploy.lock"),
    "path": Flag(default="", text="file or folder to look at; empty for the build's"),
    "host": Flag(default="", text="user@host, or a name of ssh_config"),
    "hosts": Flag(default="", text="file of a fleet: lines of user@host [alias]"),
    "level": Flag(default="", text="levels of pi.verify: a,b,c (all of them)"),
    "cpu": Flag(default="", text="emulated processors (cortex-a72,cortex-a76)"),
    "suite": Flag(default="", text="emulated Debian: bookworm, trixie (the fitting)"),
    "ssh_config": Flag(default="", text="file for ssh -F; empty for your own"),
    "device": Flag(default="", text="phone's serial, or all; empty for the only one"),
    "tool": Flag(default="", text="LiteRT's benchmark_model for Android, a file"),
    "seconds": Flag(default=60, text="time that the timed rounds may take on a host"),
    "models": Flag(
        default="", text="comma-separated models, names or .toml, for one download"
    ),
    "recipe": Flag(default="int8", text="which variant of each model"),
    "batch": Flag(
        default=False, text="time batches of 1 to 16 pictures, and freeze the best"
    ),
    "data": Flag(default="", text="folder of examples: train and test, or idx files"),
    "trainable_last": Flag(default="", text="last layers that learn: a count, or all"),
    "loss": Flag(default="", text="categorical_crossentropy or mse"),
    "optimizer": Flag(default="", text="sgd, momentum or adam"),
    "batch_size": Flag(default=0, text="rows of a training step; 0 for the model's"),
    "epochs": Flag(default=0, text="passes over the examples; 0 for the model's"),
    "learning_rate": Flag(default=0.0, text="of each step; 0 for the model's"),
    "patience": Flag(
        default=0, text="epochs without a better accuracy after which to stop; 0 never"
    ),
    "seed": Flag(default=0, text="of the first weights and of the shuffling"),
    "restart": Flag(default=False, text="forget what was trained before"),
    "all": Flag(default=False, text="also the slow tests, which take minutes"),
    "cache": Flag(default=False, text="also empty the user's cache"),
    "old": Flag(default="", text="the build (build/<model>) or .tflite file in use"),
    "new": Flag(default="", text="the one that shall replace it"),
    "max_size_growth": Flag(
        default=0.05, text="allowed growth of file and download (0.05 = 5 %)"
    ),
    "max_slowdown": Flag(
        default=0.1, text="allowed growth of the median latency (0.1 = 10 %)"
    ),
    "accept": Flag(
        default="", text="what may differ without failing, such as contract,labels"
    ),
    "require": Flag(
        default="", text="what fails if it cannot be measured, such as top1,latency"
    ),
    "junit": Flag(default="", text="file for the CI server, in JUnit's format"),
    "json": Flag(default=False, text="print JSON alone on stdout"),
    "debug": Flag(default=False, text="show tracebacks"),
}

# What decides which network, pictures and variants a task is about.
BUILD_FLAGS = (
    "model",
    "labels",
    "trust",
    "weights",
    "images",
    "calibration",
    "finetune",
    "recipes",
    "shapes",
    "runtime",
    "threads",
    "max_skipped",
    "offline",
    "strict",
    "update_lock",
    "json",
)
# What an evaluation measures beside accuracy where it is asked to.
MEASURE_FLAGS = ("device_pipeline", "calibration_stability")
CHOICE_FLAGS = ("max_top1_drop", "point_estimate", "prefer", "max_size")
PACKAGE_FLAGS = (
    "only",
    "keystore",
    "rotated_from",
    "package",
    "version_code",
    "version_name",
    "python",
    "arch",
    "kind",
    "delivery",
    "min_app_version",
)


def command(
    *flags: str, name: str | None = None, no_default: tuple[str, ...] = ()
) -> Callable[[Any], Task[Any]]:
    """Make a function of one argument, the flags' values, into a task.

    Args:
        *flags: Keys of `FLAGS`; --debug comes with every task.
        name: The task's name, where a module could not have it.
        no_default: Those of the flags that take text and are "" unless given, where
            their usual default would be a guess.

    Returns:
        A decorator; the function's docstring becomes the task's help.
    """
    known = (*flags, "debug")

    def decorate(function: Callable[[SimpleNamespace], None]) -> Task[Any]:
        @functools.wraps(function)
        def body(_context: Any, **values: Any) -> None:
            with _edge(debug=values["debug"]):
                function(SimpleNamespace(**_typed(values)))

        body.__signature__ = _signature(known, no_default)  # type: ignore[attr-defined]
        del body.__wrapped__
        made = invoke_task(
            body,
            name=name or function.__name__,
            help={flag: FLAGS[flag].text for flag in known},
            auto_shortflags=False,
        )
        return cast(Task[Any], made)

    return decorate


def _signature(
    flags: tuple[str, ...], no_default: tuple[str, ...]
) -> inspect.Signature:
    """Give invoke the flags as if they were written as parameters."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    # Invoke lets a bad number escape as a ValueError, so it gets text; see _typed.
    defaults = {
        flag: str(FLAGS[flag].default)
        if _is_number(FLAGS[flag].default)
        else FLAGS[flag].default
        for flag in flags
    }
    defaults |= dict.fromkeys(no_default, "")
    return inspect.Signature(
        [
            inspect.Parameter("context", kind),
            *(
                inspect.Parameter(flag, kind, default=default)
                for flag, default in defaults.items()
            ),
        ]
    )


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Read the numbers among the flags' values."""
    typed = dict(values)
    for name, text in values.items():
        default = FLAGS[name].default
        if not _is_number(default):
            continue
        try:
            typed[name] = type(default)(text)
        except ValueError as error:
            kind = "a whole number" if isinstance(default, int) else "a number"
            raise InputError(
                f"--{name.replace('_', '-')} takes {kind} ({FLAGS[name].text}); "
                f"received {text[:40]!r}"
            ) from error
    return typed


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@contextlib.contextmanager
def _edge(*, debug: bool) -> Iterator[None]:
    """Turn errors into one line and an exit code; the only place that does."""
    from edgedeploy.ondevice.contract import ContractError

    try:
        with _terminable():
            yield
    except EdgedeployError as error:
        _give_up(error, error.exit_code, debug)
    except ContractError as error:
        _give_up(error, 2, debug)
    except KeyboardInterrupt as error:
        line = "interrupted; run the same command again to go on from here"
        raise Exit(line, code=INTERRUPTED) from error
    except BrokenPipeError as error:
        # Whoever read our output, such as head, has seen enough; the job is cut short.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(code=1) from error


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C, so that children and temporary files go too."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _give_up(error: Exception, code: int, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exception(error)
    line = " ".join(str(error).split())
    raise Exit(f"error: {line}", code=code) from error
