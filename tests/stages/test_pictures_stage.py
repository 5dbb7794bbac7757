"""Which pictures measure and which calibrate, from real folders."""

import ast
import contextlib
import ctypes
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from remembering_voice import Notes

from edgedeploy.catalog import model_specs
from edgedeploy.errors import InputError, LockError
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.resources import resource_folder
from edgedeploy.specs import FileSource, Licence, ModelSpec
from edgedeploy.stages import packaging, scoring, selection, variants
from edgedeploy.stages.context import Context, Options
from edgedeploy.stages.pictures import find_pictures, lint_calibration
from edgedeploy.workspace import Workspace, file_digest

SPEC = ModelSpec(
    name="tiny",
    title="Tiny",
    weights="seeded",
    summary="two classes",
    architecture="keras_file",
    layout="keras",
    source=FileSource(path="nowhere"),
    labels=("cat", "dog"),
    label_set="pets",
    pipeline=ImagePipeline(width=24, height=24),
    licence=Licence(spdx="CC0-1.0", holder="x", notice="x", text="x", homepage="x"),
)


def context(root, **options):
    workspace = Workspace(root=root, model="tiny")
    return Context(options=Options(**options), workspace=workspace, voice=Notes())


def draw(folder, count, seed=0, classes=("cat", "dog")):
    """Different noisy pictures, alternating over the classes' folders."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        path = folder / classes[number % len(classes)] / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 30, 3)).astype(np.uint8)).save(path)
    return folder


def contents(dataset):
    return {picture.path.read_bytes() for picture in dataset.pictures}


def test_images_alone_are_split_by_content(tmp_path):
    folder = draw(tmp_path / "own", 200)
    found = find_pictures(context(tmp_path, images=folder), SPEC)
    assert len(found.calibration.pictures) == 200 // 8
    assert len(found.evaluation.pictures) == 175
    assert not contents(found.calibration) & contents(found.evaluation)
    assert not found.smoke


def test_split_calibrates_with_sixteen_at_least(tmp_path):
    found = find_pictures(context(tmp_path, images=draw(tmp_path / "own", 40)), SPEC)
    assert len(found.calibration.pictures) == 16
    assert len(found.evaluation.pictures) == 24


def test_digests_belong_to_their_pictures(tmp_path):
    found = find_pictures(context(tmp_path, images=draw(tmp_path / "own", 40)), SPEC)
    for dataset, digests in (
        (found.evaluation, found.evaluation_digests),
        (found.calibration, found.calibration_digests),
    ):
        assert list(digests) == [file_digest(p.path) for p in dataset.pictures]


def test_calibration_folder_leaves_images_whole(tmp_path):
    images, own = draw(tmp_path / "images", 20), draw(tmp_path / "own", 18, seed=1)
    found = find_pictures(context(tmp_path, images=images, calibration=own), SPEC)
    assert contents(found.evaluation) == {p.read_bytes() for p in images.rglob("*.png")}
    assert contents(found.calibration) == {p.read_bytes() for p in own.rglob("*.png")}


def test_without_folders_the_shipped_samples_are_a_smoke_test(tmp_path):
    made = context(tmp_path)
    found = find_pictures(made, SPEC)
    assert found.smoke
    assert found.evaluation.samples
    # The samples have no labels for cats and dogs, which is no mistake of the user's.
    assert found.evaluation.labelled == 0
    assert "evaluation" in found.evaluation.name
    assert not contents(found.calibration) & contents(found.evaluation)
    assert made.voice.notes[0].startswith("smoke test: ")


def test_samples_carry_the_labels_of_the_catalogues_models(tmp_path):
    for model in ("inception_v3", "efficientnet_lite0"):
        for spec in model_specs(model):
            assert find_pictures(context(tmp_path), spec).evaluation.labelled >= 16


def test_calibration_folder_alone_measures_on_the_samples(tmp_path):
    own = draw(tmp_path / "own", 16)
    found = find_pictures(context(tmp_path, calibration=own), SPEC)
    assert found.smoke
    assert contents(found.calibration) == {p.read_bytes() for p in own.rglob("*.png")}


def test_unlabelled_pictures_measure_agreement_only(tmp_path):
    images = draw(tmp_path / "images", 40, classes=("one", "two"))
    made = context(tmp_path, images=images)
    assert find_pictures(made, SPEC).smoke
    assert any("but not accuracy" in line for line in made.voice.warnings)


@pytest.mark.parametrize("count", [1, 15])
def test_fewer_than_sixteen_pictures_are_an_error(tmp_path, count):
    images, own = draw(tmp_path / "images", count), draw(tmp_path / "own", 16, seed=1)
    with pytest.raises(InputError, match=f"at least 16 pictures; found {count}"):
        find_pictures(context(tmp_path, images=images, calibration=own), SPEC)


def test_too_few_to_split_are_an_error_that_names_the_way_on(tmp_path):
    with pytest.raises(InputError, match="give --calibration a folder of its own"):
        find_pictures(context(tmp_path, images=draw(tmp_path / "own", 31)), SPEC)


@pytest.mark.parametrize(("count", "warned"), [(99, True), (100, False)])
def test_fewer_than_a_hundred_evaluation_pictures_are_a_warning(
    tmp_path, count, warned
):
    images, own = draw(tmp_path / "images", count), draw(tmp_path / "own", 16, seed=1)
    made = context(tmp_path, images=images, calibration=own)
    find_pictures(made, SPEC)
    assert any("too wide" in line for line in made.voice.warnings) == warned


def test_pictures_of_formats_that_are_not_read_are_named_once(tmp_path):
    images = draw(tmp_path / "own", 40)
    for name in ("IMG_2.HEIC", "img_1.heic", "scan.tiff", "notes.txt"):
        (images / "cat" / name).write_bytes(b"x")
    made = context(tmp_path, images=images)
    find_pictures(made, SPEC)
    (line,) = [line for line in made.voice.warnings if "left out" in line]
    # Capitals sort first.
    assert line == (
        "own: 3 pictures are left out, such as cat/IMG_2.HEIC: .HEIC is not read. "
        "Convert them to JPEG"
    )


def test_other_files_beside_pictures_are_no_news(tmp_path):
    images = draw(tmp_path / "own", 40)
    (images / "cat" / "notes.txt").write_bytes(b"x")
    made = context(tmp_path, images=images)
    find_pictures(made, SPEC)
    assert not any("left out" in line for line in made.voice.warnings)


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_pictures(context(tmp_path, images=tmp_path / "gone"), SPEC)


def test_evaluation_digest_sees_names_contents_and_labels(tmp_path):
    own = draw(tmp_path / "own", 16, seed=1)
    folders = [draw(tmp_path / name, 16) for name in ("same", "renamed", "relabelled")]
    (folders[1] / "cat" / "000.png").rename(folders[1] / "cat" / "x.png")
    (folders[2] / "cat" / "000.png").rename(folders[2] / "dog" / "000.png")
    digests = {
        find_pictures(
            context(tmp_path, images=folder, calibration=own), SPEC
        ).evaluation_digest()
        for folder in [*folders, draw(tmp_path / "edited", 16, seed=9)]
    }
    assert len(digests) == 4


def test_a_changed_picture_of_equal_size_is_noticed(tmp_path):
    images, own = draw(tmp_path / "images", 20), draw(tmp_path / "own", 16, seed=1)
    made = context(tmp_path, images=images, calibration=own)
    before = find_pictures(made, SPEC).evaluation_digests
    path = images / "cat" / "000.png"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    after = find_pictures(made, SPEC).evaluation_digests
    assert [b == a for b, a in zip(before, after, strict=True)].count(False) == 1


def test_unchanged_pictures_are_not_read_again(tmp_path):
    images, own = draw(tmp_path / "images", 20), draw(tmp_path / "own", 16, seed=1)
    made = context(tmp_path, images=images, calibration=own)
    before = find_pictures(made, SPEC).evaluation_digests
    path = images / "cat" / "000.png"
    status = path.stat()
    # Other bytes under the same size and time: only a reader would notice.
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert find_pictures(made, SPEC).evaluation_digests == before


@pytest.mark.parametrize("text", ["", "[]", "{", '{"%s": 3}', '{"%s": ["a"]}', "\0"])
def test_damaged_memory_of_digests_is_as_good_as_none(tmp_path, text):
    images, own = draw(tmp_path / "images", 16), draw(tmp_path / "own", 16, seed=1)
    made = context(tmp_path, images=images, calibration=own)
    before = find_pictures(made, SPEC)
    memory = made.workspace.folder / ".stages" / "pictures.json"
    memory.write_text(text.replace("%s", str(images / "cat" / "000.png")))
    assert find_pictures(made, SPEC) == before


@contextlib.contextmanager
def ordinary_rights():
    """Take from root what lets it read every file; nobody else has it."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None)
    # capset(2): version 3 and this thread; its effective rights come first, and bits
    # 1 and 2 of them are CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    all_rights = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, all_rights) == 0
    fewer = (ctypes.c_uint32 * 6)(*all_rights)
    fewer[0] &= ~0b110
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, all_rights) == 0


def test_unreadable_picture_is_bad_input(tmp_path):
    images, own = draw(tmp_path / "images", 16), draw(tmp_path / "own", 16, seed=1)
    (images / "cat" / "000.png").chmod(0)
    with ordinary_rights(), pytest.raises(InputError, match="mend its permissions"):
        find_pictures(context(tmp_path, images=images, calibration=own), SPEC)


def test_picture_that_vanishes_is_bad_input(tmp_path, monkeypatch):
    images, own = draw(tmp_path / "images", 16), draw(tmp_path / "own", 16, seed=1)
    made = context(tmp_path, images=images, calibration=own)
    from edgedeploy.stages import pictures

    listed = pictures.read_dataset

    def list_and_lose(folder, *arguments, **options):
        found = listed(folder, *arguments, **options)
        (folder / "cat" / "000.png").unlink()
        return found

    monkeypatch.setattr(pictures, "read_dataset", list_and_lose)
    with pytest.raises(InputError, match=r"000\.png: the picture cannot be read"):
        find_pictures(made, SPEC)


def test_calibration_is_locked_and_changes_only_when_it_was_asked_for(tmp_path):
    made = context(tmp_path)
    found = find_pictures(made, SPEC)
    chosen = lint_calibration(made, found, SPEC)
    locked = made.lock.get("calibration")
    assert locked["images"] == len(chosen.digests)
    asked = context(tmp_path, calibration=draw(tmp_path / "own", 20))
    lint_calibration(asked, find_pictures(asked, SPEC), SPEC)
    assert asked.lock.get("calibration")["images"] == 20
    with pytest.raises(LockError, match="calibration"):
        lint_calibration(made, found, SPEC)


def test_evaluation_pictures_among_calibration_are_refused(tmp_path):
    images, own = draw(tmp_path / "images", 40), draw(tmp_path / "own", 20, seed=1)
    shutil.copy(images / "cat" / "000.png", own / "cat" / "other_name.png")
    made = context(tmp_path, images=images, calibration=own)
    with pytest.raises(InputError, match="1 of 21 calibration pictures"):
        lint_calibration(made, find_pictures(made, SPEC), SPEC)


def imported_below(package, module, seen=None):
    """Files of a package that a module reaches by its own imports, itself too."""
    seen = set() if seen is None else seen
    path = resource_folder("models").parent / "edgedeploy" / module
    if module in seen or not path.is_file():
        return seen
    seen.add(module)
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        name = node.module.removeprefix("edgedeploy.").replace(".", "/")
        if node.level == 1:
            name = f"{package}/{name}"
        if name.startswith(package):
            imported_below(package, f"{name}.py", seen)
    return seen


@pytest.mark.parametrize(
    ("declared", "modules", "but"),
    [
        (scoring.DECODING_CODE, ["ondevice/pictures.py"], set()),
        (variants.CALIBRATING_CODE, ["ondevice/pictures.py"], set()),
        (
            selection.MEASURING_CODE,
            ["ondevice/trial.py", "ondevice/runtime.py", "ondevice/intervals.py"],
            # They describe the machine or check values; no figure comes from them.
            {"ondevice/host.py", "ondevice/contract.py"},
        ),
        (packaging.PAYLOAD_CODE, ["targets/payload.py"], set()),
        (packaging.PAYLOAD_CODE, ["formats/tflite_tail.py"], set()),
        (
            variants.CONVERTING_CODE,
            ["formats/metadata.py"],
            # Readers, which check what was written and change nothing.
            {
                "formats/metadata_reader.py",
                "formats/tflite.py",
                "formats/zip_content.py",
                "formats/zip_reader.py",
            },
        ),
    ],
)
def test_a_stage_runs_again_when_any_code_behind_it_changes(declared, modules, but):
    if not (resource_folder("models").parent / "edgedeploy").is_dir():
        pytest.skip("needs the sources of a checkout; clone the repository")
    package = modules[0].split("/")[0]
    reached = set()
    for module in modules:
        imported_below(package, module, reached)
    assert len(reached) > 1
    assert reached - but <= set(declared)


def test_memory_of_digests_is_json_of_sizes_times_and_digests(tmp_path):
    images, own = draw(tmp_path / "images", 16), draw(tmp_path / "own", 16, seed=1)
    made = context(tmp_path, images=images, calibration=own)
    find_pictures(made, SPEC)
    memory = json.loads((made.workspace.folder / ".stages/pictures.json").read_text())
    path = images / "cat" / "000.png"
    assert memory[str(path.resolve())] == [
        path.stat().st_size,
        path.stat().st_mtime_ns,
        file_digest(path),
    ]
