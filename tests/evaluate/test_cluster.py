"""A real scheduler, real worker processes, and what happens when they die."""

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import real_weights
from dask_cluster import Cluster
from PIL import Image

from edgedeploy.catalog import model_specs
from edgedeploy.errors import EvaluationError, InputError
from edgedeploy.evaluate.engine import score_pictures
from edgedeploy.evaluate.scheduler import connected, parse_engine
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.workspace import file_digest

pytest.importorskip(
    "distributed", reason="needs dask.distributed; pip install edgedeploy[cluster]"
)
ROOT = Path(__file__).parents[2]
PIPELINE = ImagePipeline(width=32, height=32)


@pytest.fixture
def cluster(tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder)
    yield made
    made.close()


def draw(folder, count, side=48):
    """Draw pictures that differ in every block of pixels."""
    folder.mkdir()
    noise = np.random.default_rng(8)
    for number in range(count):
        small = Image.fromarray(noise.integers(0, 256, (6, 6, 3), np.uint8))
        picture = small.resize((side, side + number % 9), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:05}.jpg", quality=90)
    return sorted(folder.iterdir())


def variants(models, out, pipeline=PIPELINE):
    from edgedeploy.evaluate.cluster import ClusterVariant
    from edgedeploy.evaluate.tasks import Network

    return [
        ClusterVariant(
            name=name,
            network=Network(
                path=str(path),
                sha256=file_digest(path),
                pipeline=pipeline.to_dict(),
                runtime="litert",
            ),
            out=out / f"{name}.npy",
            identity=name,
        )
        for name, path in models.items()
    ]


def digested(paths):
    return [(str(path), file_digest(path) if path.is_file() else "0") for path in paths]


def score_there(cluster, wanted, pictures, warn=print, **more):
    from edgedeploy.evaluate.cluster import score_on_cluster

    address = parse_engine(cluster.address.replace("tcp://", "dask://"))
    return score_on_cluster(address, wanted, pictures, warn=warn, **more)


def score_here(path, paths, out, pipeline=PIPELINE, **more):
    options = {"decoded": None, "threads": 2, "runtime": "litert", "what": "here"}
    return score_pictures(path, paths, pipeline=pipeline, out=out, **options, **more)


def assert_as_here(models, wanted, paths, node, folder, pipeline=PIPELINE):
    """Publish what the cluster left, and hold its bits against one machine's."""
    for variant in wanted:
        model = models[variant.name]
        alone = score_here(model, paths, folder / "alone.npy", pipeline)
        done = score_here(
            model, paths, variant.out, pipeline, identity=variant.identity, node=node
        )
        assert variant.out.read_bytes() == (folder / "alone.npy").read_bytes()
        assert done.skipped == alone.skipped
        assert done.delegate == alone.delegate


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(900)
def test_killed_worker_costs_its_task_and_not_a_bit(cluster, tmp_path):
    spec = next(iter(model_specs("efficientnet_lite0")))
    weights = real_weights.fetch_weights(spec)
    models = {
        recipe: real_weights.convert(
            spec, weights, recipe, tmp_path / f"{recipe}.tflite"
        )
        for recipe in ("int8", "float32")
    }
    paths = draw(tmp_path / "pictures", 1000, side=256)
    paths[500].write_bytes(paths[500].read_bytes()[:300])
    for name in ("one", "two", "three"):
        cluster.add(name)
    cluster.ready(3)
    wanted = variants(models, tmp_path, spec.pipeline)
    told = []

    def kill_one(done, total):
        told.append(done)
        if done and cluster.workers["two"].poll() is None:
            cluster.workers["two"].send_signal(signal.SIGKILL)
            cluster.workers["two"].wait()
        assert total == 2000

    node = score_there(cluster, wanted, digested(paths), progress=kill_one)
    killed_at = next(done for done in told if done)
    assert killed_at < 200
    assert told[-1] == 2000
    assert cluster.workers["two"].returncode == -signal.SIGKILL
    assert cluster.workers["one"].poll() is None
    assert_as_here(models, wanted, paths, node, tmp_path, spec.pipeline)


@pytest.mark.slow
def test_killed_worker_costs_only_the_blocks_that_it_had(
    cluster, tiny_models, tmp_path
):
    from edgedeploy.evaluate.cluster import _AHEAD, BLOCK

    models = {name: tiny_models[name] for name in ("int8", "float32")}
    paths = draw(tmp_path / "pictures", 100) * 40
    for name in ("one", "two"):
        cluster.add(name)
    cluster.ready(2)
    wanted = variants(models, tmp_path)

    def kill_two(done, _total):
        if done and cluster.workers["two"].poll() is None:
            cluster.workers["two"].kill()
            cluster.workers["two"].wait()

    node = score_there(cluster, wanted, digested(paths), progress=kill_two)
    assert cluster.workers["two"].returncode == -signal.SIGKILL
    executed = cluster.executed()
    # A block is decoded once and scored by both models; each model is looked at once.
    needed = 3 * -(-len(paths) // BLOCK) + len(models)
    # What was on its way when the worker died; two workers of one thread have no more.
    lost = 3 * 2 * _AHEAD
    assert needed <= executed <= needed + lost
    assert_as_here(models, wanted, paths, node, tmp_path)


@pytest.mark.slow
def test_worker_of_another_kind_is_refused_by_name(cluster, tiny_models, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(ROOT / "edgedeploy", other / "edgedeploy")
    with (other / "edgedeploy" / "evaluate" / "scoring.py").open("a") as file:
        file.write("# Another version.\n")
    cluster.add("good")
    cluster.add("bad", code=other)
    cluster.ready(2)
    paths = draw(tmp_path / "pictures", 40)
    models = {name: tiny_models[name] for name in ("int8", "float32")}
    wanted = variants(models, tmp_path)
    warned = []
    node = score_there(cluster, wanted, digested(paths), warn=warned.append)
    assert len(warned) == 1
    assert "worker tcp://127.0.0.1:" in warned[0]
    assert "is not used: edgedeploy " in warned[0]
    assert " instead of " in warned[0]
    assert_as_here(models, wanted, paths, node, tmp_path)
    cluster.workers["good"].kill()
    cluster.workers["good"].wait()
    shutil.rmtree(tmp_path / "pictures")
    with pytest.raises(EvaluationError, match="no worker that may be used"):
        score_there(cluster, wanted, digested(paths), warn=warned.append)


@pytest.mark.slow
def test_lost_scheduler_is_one_error_and_this_machine_goes_on(
    cluster, tiny_models, tmp_path
):
    paths = draw(tmp_path / "pictures", 60) * 30
    cluster.add("one")
    cluster.ready(1)
    wanted = variants({"int8": tiny_models["int8"]}, tmp_path)

    def end(done, _total):
        if done:
            cluster.scheduler.kill()
            cluster.scheduler.wait()

    with pytest.raises(EvaluationError, match="evaluating") as caught:
        score_there(cluster, wanted, digested(paths), progress=end)
    assert "\n" not in str(caught.value)
    done = score_here(
        tiny_models["int8"], paths, wanted[0].out, identity=wanted[0].identity
    )
    assert 0 < done.resumed < len(paths)
    score_here(tiny_models["int8"], paths, tmp_path / "alone.npy")
    assert wanted[0].out.read_bytes() == (tmp_path / "alone.npy").read_bytes()


@pytest.mark.slow
def test_storage_that_is_not_shared_is_an_error(cluster, tiny_models, tmp_path):
    paths = draw(tmp_path / "pictures", 20)
    cluster.add("one")
    cluster.ready(1)
    wanted = variants({"int8": tiny_models["int8"]}, tmp_path)
    told = digested(paths)
    paths[3].write_bytes(paths[4].read_bytes())
    with pytest.raises(
        EvaluationError, match=r"00003\.jpg: a worker reads other bytes"
    ):
        score_there(cluster, wanted, told)
    paths[3].unlink()
    with pytest.raises(EvaluationError, match=r"00003\.jpg: a worker cannot read it"):
        score_there(cluster, wanted, told)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("local", ""),
        ("dask://scheduler:8786", "tcp://scheduler:8786"),
        ("dask://10.0.0.7:1", "tcp://10.0.0.7:1"),
        ("dask://[::1]:8786", "tcp://[::1]:8786"),
        ("dask://scheduler:65535", "tcp://scheduler:65535"),
    ],
)
def test_engine_is_here_or_a_scheduler(text, address):
    assert parse_engine(text) == address


@pytest.mark.parametrize(
    "text", ["", "dask", "dask://", "dask://host", "dask://:8786", "tcp://host:1",
             "dask://host:port", "dask://host:", "LOCAL", "dask://host:0",
             "dask://host:65536", "dask://host:" + "9" * 5000, "dask://host:\u0661"],
)  # fmt: skip
def test_other_engine_is_refused(text):
    with pytest.raises(InputError, match="engine must be local or dask://host:port"):
        parse_engine(text)


def test_scheduler_that_does_not_answer_is_one_error(monkeypatch):
    monkeypatch.setattr("edgedeploy.evaluate.scheduler._CONNECT_S", 0.5)
    # Port 9 is "discard", which nobody serves.
    with (
        pytest.raises(EvaluationError, match=r"answers there \(Connection refused\)"),
        connected("tcp://127.0.0.1:9"),
    ):
        pass


def test_scheduler_is_looked_for_before_anything_is_made(project, refused, monkeypatch):
    monkeypatch.setattr("edgedeploy.evaluate.scheduler._CONNECT_S", 0.5)
    flags = ("--model", "tiny.toml", "--images", "pictures", "--engine")
    line = refused(project, "evaluate", *flags, "dask://127.0.0.1:9", code=1)
    assert "no dask scheduler answers there" in line
    assert "port from 1 to 65535" in refused(
        project, "evaluate", *flags, "dask://host:99999"
    )
    assert not list(project.folder.glob("variants/*"))
