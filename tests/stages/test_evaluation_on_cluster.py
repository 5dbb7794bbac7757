"""Evaluation of a whole project by workers, from the command line."""

import pytest
from dask_cluster import Cluster

pytest.importorskip(
    "distributed", reason="needs dask.distributed; pip install edgedeploy[cluster]"
)
EVALUATE = ["--model", "tiny.toml", "--images", "pictures", "--recipes", "int8"]


@pytest.mark.slow
def test_cluster_gives_the_scores_of_this_machine(project, tmp_path):
    here = project.run("evaluate", *EVALUATE)
    assert here.returncode == 0, here.stderr
    folder = project.folder / ".scores"
    expected = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
    assert set(expected) == {"float32.npy", "int8.npy"}
    evaluation = project.read("evaluation.json")
    for path in folder.glob("*.npy"):
        path.unlink()
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    try:
        for name in ("one", "two"):
            cluster.add(name)
        cluster.ready(2)
        engine = cluster.address.replace("tcp://", "dask://")
        there = project.run("evaluate", *EVALUATE, "--engine", engine)
        again = project.run("evaluate", *EVALUATE, "--engine", engine, "--json")
    finally:
        cluster.close()
    assert there.returncode == 0, there.stderr
    assert "score float32, int8 on tcp://" in there.stderr + there.stdout
    assert {path.name: path.read_bytes() for path in folder.glob("*.npy")} == expected
    measured = project.read("evaluation.json")
    for found in (evaluation, measured):
        for card in found["variants"].values():
            del card["images_per_s"]
    assert measured == evaluation
    assert again.returncode == 0, again.stderr
    assert "score" not in again.stderr


def test_engine_that_makes_no_sense_is_refused_before_anything_is_done(
    project, refused
):
    line = refused(project, "evaluate", *EVALUATE, "--engine", "spark://host:1")
    assert "engine must be local or dask://host:port" in line
    assert not project.folder.exists()
