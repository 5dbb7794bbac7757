"""Killed at any moment, a build goes on and ends with the bytes of an unkilled one.

Each stage is killed at a random moment of its course. Only the parent is killed: its
child has to notice by itself.
"""

import hashlib
import http.server
import itertools
import random
import signal
import threading
import time

import pytest

SEEDS = (20, 21)
# In the order in which they run; each one's record is the next one's sign to begin.
STAGES = (
    "variant-float32",
    "variant-int8",
    "scores-float32",
    "scores-int8",
    "evaluation",
    "android-sizes",
    "package-android-assets",
    "package-android-apk",
    "package-pi-3.11-aarch64-tar",
    "package-pi-3.11-aarch64-deb",
    "verify-package-android-apk",
    "verify-package-pi-3.11-aarch64-tar",
    "verify-package-pi-3.11-aarch64-deb",
    "benchmark",
    "report",
)
# Never the same twice, whoever runs them.
MEASURED = (
    "benchmark.json",
    "evaluation.json",
    "host.json",
    "measured.json",
    "report.html",
)


def record(project, stage):
    return project.folder / ".stages" / f"{stage}.json"


def visible(project):
    """The bytes of every file that a user sees and that a build promises."""
    return {
        path.relative_to(project.folder).as_posix(): path.read_bytes()
        for path in sorted(project.folder.rglob("*"))
        if path.is_file()
        and not any(
            part.startswith(".") for part in path.relative_to(project.folder).parts
        )
        and path.name not in MEASURED
    }


def half_written(project):
    return [
        str(path)
        for folder in (project.folder, project.home / "cache" / "sources")
        for path in folder.rglob("*")
        if path.name.endswith((".partial", ".part", ".tmp"))
        or path.name.startswith((".partial-", ".unpack-", ".json-"))
    ]


def course_of(project):
    """How many seconds each stage took, by the times of their records."""
    times = {stage: record(project, stage).stat().st_mtime for stage in STAGES}
    pairs = itertools.pairwise(STAGES)
    taken = {later: max(0.05, times[later] - times[sooner]) for sooner, later in pairs}
    return {STAGES[0]: taken["variant-int8"]} | taken


def kill_inside(project, tiny, stage, delay):
    """Begin a build, wait until the stage begins, and kill it after the delay.

    Returns:
        Whether the build was still in that stage.
    """
    process = project.start("build", *tiny.standard(()))
    before = STAGES[: STAGES.index(stage)]
    if not before:
        time.sleep(1)
    while not all(record(project, one).exists() for one in before):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(delay)
    inside = not record(project, stage).exists() and process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    return inside


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_build_goes_on_to_the_same_bytes(finished, project, tiny, seed):
    draw = random.Random(seed)
    promised = visible(finished)
    course = course_of(finished)
    # One signing key, as one user has: it is part of the app's bytes.
    project.environment["EDGEDEPLOY_KEYS"] = str(finished.home / "keys")
    hits = []
    for stage in STAGES:
        if kill_inside(project, tiny, stage, draw.random() * course[stage]):
            hits.append(stage)
        for name, data in visible(project).items():
            assert data == promised[name], f"{name} is half written after {stage}"
    done = project.build()
    assert done.returncode == 0, done.stderr
    assert visible(project) == promised
    assert half_written(project) == []
    print(f"seed {seed}: killed inside {', '.join(hits)}")
    # The shortest stages last milliseconds and can be missed; most can not.
    assert len(hits) >= 6, hits


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_wheel_download_goes_on_to_the_same_bytes(project, tiny, finished, seed):
    draw = random.Random(seed)
    work = finished.copy(project.root.with_name("work"))
    work.home = project.home
    work.environment["EDGEDEPLOY_KEYS"] = str(finished.home / "keys")
    text = work.lock.read_text("utf-8")
    work.lock.write_text(text[: text.index('[models.tiny."wheels')], "utf-8")
    work.bundle().unlink()
    for _ in range(4):
        process = work.start("build", *tiny.standard(()))
        time.sleep(0.7 + draw.random())
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    done = work.build()
    assert done.returncode == 0, done.stderr
    assert work.bundle().read_bytes() == finished.bundle().read_bytes()
    assert half_written(work) == []


@pytest.mark.slow
@pytest.mark.parametrize("left", ["wheels/.incoming-killed", "decoded/.partial-killed"])
def test_what_a_killed_child_left_in_the_cache_is_tidied_away(finished, tmp_path, left):
    work = finished.copy(tmp_path / "work")
    work.home = tmp_path / "home"
    work.home.mkdir()
    (work.home / "wheels").symlink_to(finished.home / "wheels")
    text = work.lock.read_text("utf-8")
    work.lock.write_text(text[: text.index('[models.tiny."wheels')], "utf-8")
    (work.folder / ".scores" / "int8.npy").unlink()
    folder = work.home / "cache" / left
    folder.mkdir(parents=True)
    (folder / "half").write_bytes(b"half")
    done = work.build(EDGEDEPLOY_KEYS=str(finished.home / "keys"))
    assert done.returncode == 0, done.stderr
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_download_goes_on_where_it_stopped(project, seed):
    draw = random.Random(seed)
    content = draw.randbytes(6 << 20)
    asked = []
    server = slow_server(content, asked)
    source = (
        'kind = "https"\nurl = "https://127.0.0.1:9/weights.keras"\n'
        f'filename = "weights.keras"\nsha256 = "{hashlib.sha256(content).hexdigest()}"'
        '\nmirror_variable = "EDGEDEPLOY_MIRROR_TINY"'
    )
    path = project.root / "tiny.toml"
    text = path.read_text("utf-8")
    path.write_text(text.replace('kind = "file"\npath = "tiny.keras"', source), "utf-8")
    address = f"http://127.0.0.1:{server.server_port}"
    project.environment["EDGEDEPLOY_MIRROR_TINY"] = address
    try:
        for _ in range(3):
            already = len(asked)
            process = project.start("fetch", "--model", "tiny.toml")
            while len(asked) == already:
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            time.sleep(0.1 + 0.8 * draw.random())
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
        done = project.run("fetch", "--model", "tiny.toml", "--json")
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    (stored,) = (project.home / "cache").rglob("weights.keras")
    assert stored.read_bytes() == content
    assert half_written(project) == []
    # At least one of the later runs went on instead of beginning again.
    assert any(start > 0 for start in asked), asked


def slow_server(content, asked):
    """Serve about 2 MB a second, with Range, and note where each request begins."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            wanted = self.headers.get("Range", "bytes=0-")
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            asked.append(start)
            self.send_response(206 if start else 200)
            if start:
                span = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", span)
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            try:
                for at in range(start, len(content), 1 << 16):
                    self.wfile.write(content[at : at + (1 << 16)])
                    time.sleep(0.03)
            except ConnectionError:
                pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
