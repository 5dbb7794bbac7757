"""Several models in one download: the same answers, and equal weights once."""

import hashlib
import json
import tarfile

import numpy as np
import pytest
import tiny_models as tiny
from ai_edge_litert import schema_py_generated as schema

from edgedeploy.errors import FormatError, PackageError
from edgedeploy.formats.metadata import embed
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.tflite_layout import misaligned_buffers, pack_model
from edgedeploy.formats.tflite_merge import merge_models
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.delivered import BundleError
from edgedeploy.ondevice.functions import FunctionFile, Functions
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.tensors import ModelError
from edgedeploy.ondevice.trial import make_input
from edgedeploy.specs import CustomOp
from edgedeploy.targets import functions as packaging
from edgedeploy.targets.functions import FunctionSource, write_functions


def other_head(data, seed=0):
    """The same network with other weights in its last layer."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    (graph,) = model.subgraphs
    code = schema.BuiltinOperator.FULLY_CONNECTED
    (dense,) = (
        operator
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == code
    )
    buffer = model.buffers[graph.tensors[int(dense.inputs[1])].buffer]
    random = np.random.default_rng(seed)
    buffer.data = random.permutation(np.asarray(buffer.data).reshape(-1, 4)).reshape(-1)
    return pack_model(model)


@pytest.fixture(scope="module")
def heads(tiny_models, tmp_path_factory):
    """Paths of three networks on one backbone, and of one of another kind."""
    folder = tmp_path_factory.mktemp("heads")
    data = tiny_models["float32"].read_bytes()
    paths = {"first": tiny_models["float32"]}
    for number, name in enumerate(("second", "third")):
        paths[name] = folder / f"{name}.tflite"
        paths[name].write_bytes(other_head(data, number))
    return {**paths, "whole": tiny_models["int8"]}


def source(name, path, **changes):
    spec = tiny.tiny_spec(name=name, title=name.title(), **changes)
    return FunctionSource(spec=spec, recipe="float32", path=path)


@pytest.fixture
def written(heads, tmp_path):
    sources = tuple(source(name, path) for name, path in heads.items())
    archive, sizes = write_functions(tmp_path / "all", sources)
    return tmp_path / "all", archive, sizes


def test_each_signature_gives_the_bits_of_its_own_file(heads, tmp_path):
    path = tmp_path / "merged.tflite"
    path.write_bytes(merge_models({k: p.read_bytes() for k, p in heads.items()}))
    functions = FunctionFile(path)
    assert functions.names == tuple(heads)
    answers = []
    for name, own in heads.items():
        model = Model(own)
        for seed in range(3):
            values = make_input(model.input, seed)
            expected = model.invoke(values)
            assert functions.invoke(name, values).tobytes() == expected.tobytes()
        answers.append(expected.tobytes())
    # Heads that all answer alike would show nothing.
    assert len(set(answers)) == len(answers)


def test_equal_weights_are_in_the_file_once(heads):
    data = {name: path.read_bytes() for name, path in heads.items() if name != "whole"}
    merged = merge_models(data)
    whole = dict(summarize(data["first"]).weight_bytes)["float32"]
    head = 4 * 7 * 128  # Seven classes of 2 x 2 x 32 values each.
    assert dict(summarize(merged).weight_bytes)["float32"] == whole + 2 * head
    assert len(merged) < sum(map(len, data.values()))


def test_graph_of_a_backbone_is_in_the_file_once_whatever_its_tensors_are_called(heads):
    data = heads["first"].read_bytes()
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for number, tensor in enumerate(model.subgraphs[0].tensors):
        tensor.name = f"another_{number}".encode()
    merged = merge_models({"a": data, "b": pack_model(model)})
    alone = merge_models({"a": data})
    # A subgraph's lists of numbers, its ends, and a signature; no scales, no operators.
    assert len(merged) < len(alone) + 1000


def test_file_is_aligned_and_the_same_each_time(heads):
    data = {name: path.read_bytes() for name, path in heads.items()}
    merged = merge_models(data)
    assert misaligned_buffers(merged) == ()
    assert merge_models(data) == merged
    assert [s.key for s in summarize(merged).signatures] == list(heads)


def test_metadata_of_a_single_model_is_left_out(heads):
    data = heads["first"].read_bytes()
    described = embed(
        data,
        name="x",
        description="x",
        version="1",
        author="x",
        licence="x",
        labels=[f"class {number}" for number in range(7)],
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
    )
    assert merge_models({"a": described}) == merge_models({"a": data})
    assert b"class 3" not in merge_models({"a": described})


@pytest.mark.parametrize(
    "data", [b"", b"TFL3", b"\x00" * 99, b"PK\x05\x06" + b"\0" * 18]
)
def test_bytes_that_are_no_model_are_refused(heads, data):
    with pytest.raises(FormatError):
        merge_models({"good": heads["first"].read_bytes(), "bad": data})


def test_nothing_cannot_be_merged():
    with pytest.raises(FormatError, match="at least one model"):
        merge_models({})


def test_control_flow_is_refused_by_name(heads):
    model = schema.ModelT.InitFromPackedBuf(heads["first"].read_bytes(), 0)
    model.subgraphs = [*model.subgraphs, schema.SubGraphT()]
    with pytest.raises(FormatError, match="loop: has 2 subgraphs"):
        merge_models({"loop": pack_model(model)})


def test_folder_classifies_with_each_function(written, heads, tmp_path):
    folder, _, _ = written
    pictures = tiny.draw_pictures(tmp_path)
    functions = Functions(folder)
    assert list(functions.functions) == sorted(heads)
    from edgedeploy.ondevice.pictures import prepare

    for name, path in heads.items():
        model, pipeline = Model(path), functions.functions[name].pipeline
        for picture in pictures:
            scores = model.scores(prepare(picture, pipeline)[None], pipeline)[0]
            found = dict(functions.classify(name, picture, 7))
            assert found == {f"class {n}": float(s) for n, s in enumerate(scores)}


def test_equal_labels_are_one_file_and_others_are_not(heads, tmp_path):
    names = tuple(f"kind {number}" for number in range(7))
    sources = (
        source("first", heads["first"]),
        source("second", heads["second"]),
        source("third", heads["third"], labels=names),
    )
    write_functions(tmp_path / "all", sources)
    assert len(list((tmp_path / "all" / "labels").iterdir())) == 2
    assert Functions(tmp_path / "all").functions["third"].labels == names


def test_archive_is_the_same_each_time_and_runs_from_itself(written, heads, tmp_path):
    _, archive, _ = written
    again = tmp_path / "again" / "all"
    again.parent.mkdir()
    sources = tuple(source(name, path) for name, path in heads.items())
    second, _ = write_functions(again, sources)
    digests = {hashlib.sha256(p.read_bytes()).digest() for p in (archive, second)}
    assert len(digests) == 1
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        tar.extractall(tmp_path / "out")
    assert "all/LICENSES/first/weights.txt" in names
    assert "all/ondevice/functions.py" in names
    assert Functions(tmp_path / "out" / "all").functions


def test_sizes_are_those_of_the_files(written, heads):
    folder, _, sizes = written
    assert [size.name for size in sizes] == [*heads, "functions.tflite"]
    assert [size.size_bytes for size in sizes[:-1]] == [
        path.stat().st_size for path in heads.values()
    ]
    assert sizes[-1].size_bytes == (folder / "functions.tflite").stat().st_size
    assert all(0 < size.deflated_bytes < size.size_bytes for size in sizes)


def test_function_that_answers_otherwise_is_refused(heads, tmp_path, monkeypatch):
    def swapped(models):
        names = list(models)
        return merge_models(dict(zip(names, reversed(models.values()), strict=True)))

    monkeypatch.setattr(packaging, "merge_models", swapped)
    sources = (source("first", heads["first"]), source("second", heads["second"]))
    with pytest.raises(PackageError, match="first, second: answers otherwise"):
        write_functions(tmp_path / "all", sources)
    assert not (tmp_path / "all" / "functions.tflite").exists()


def test_what_cannot_be_shared_is_refused(heads, tmp_path):
    one = source("first", heads["first"])
    op = CustomOp(name="Op", layer="x", source="x.c")
    own = source("second", heads["second"], custom_ops=(op,))
    for sources, message in (
        ((), "two or more"),
        ((one,), "two or more"),
        ((one, one), "different names"),
        ((one, own), "package it by itself"),
    ):
        with pytest.raises(PackageError, match=message):
            write_functions(tmp_path / "all", sources)


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(schema=2),
        lambda d: d.update(file="../x.tflite"),
        lambda d: d.update(sha256="0" * 64),
        lambda d: d.pop("functions"),
        lambda d: d.update(functions=[]),
        lambda d: d["functions"]["first"].pop("pipeline"),
        lambda d: d["functions"]["first"].update(labels="labels/none.txt"),
        lambda d: d["functions"].update(fourth=d["functions"]["first"]),
    ],
    ids=range(8),
)
def test_damaged_document_is_refused(written, edit):
    path = written[0] / "functions.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ContractError):
        Functions(written[0])


def test_labels_that_do_not_fit_are_refused(written):
    (labels,) = (written[0] / "labels").iterdir()
    labels.write_text("one\ntwo\n")
    with pytest.raises(BundleError, match="7 outputs but 2 labels"):
        Functions(written[0])


def test_unknown_function_is_named(written):
    with pytest.raises(ModelError, match="no function 'fifth'; there are first, "):
        Functions(written[0]).classify("fifth", b"")


def test_values_that_do_not_fit_are_refused(written):
    functions = FunctionFile(written[0] / "functions.tflite")
    with pytest.raises(ModelError, match="takes float32 of shape"):
        functions.invoke("first", np.zeros((1, 2, 3, 3), np.float32))
