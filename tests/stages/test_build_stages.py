"""A build does again what is concerned by a change, and nothing else."""

import os
import shutil

import pytest

CONVERT = ["convert float32", "convert int8"]
EVALUATE = ["evaluate float32", "evaluate int8"]
PACKAGE = [
    "package for Android, apk",
    "package for Raspberry Pi, Python 3.11 on aarch64, tar",
    "package for Raspberry Pi, Python 3.11 on aarch64, deb",
]
EVERYTHING = [
    "measure the Android downloads",
    "package for Android, assets",
    *PACKAGE,
]
VERIFY = [
    "verify tiny-assets.apk",
    "verify tiny-pi-3.11-aarch64.tar.gz",
    "verify tiny-pi-3.11-aarch64.deb",
]


def snapshot(folder):
    """The bytes of every file that a user sees."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_second_build_runs_no_stage_and_changes_no_file(built):
    before = snapshot(built.folder)
    stamps = {name: (built.folder / name).stat().st_mtime_ns for name in before}
    assert built.ran() == []
    assert snapshot(built.folder) == before
    after = {name: (built.folder / name).stat().st_mtime_ns for name in before}
    assert after == stamps


def test_build_in_another_folder_and_with_other_times_runs_no_stage(finished, tmp_path):
    moved = finished.copy(tmp_path / "an other näme")
    for path in [*moved.root.glob("*"), *moved.root.glob("pictures/*/*")]:
        os.utime(path, (1, 1))
    for path in moved.folder.rglob("*"):
        os.utime(path, (2, 2))
    before = snapshot(moved.folder)
    assert moved.ran() == []
    assert snapshot(moved.folder) == before


# Two builds for them all: what one deletes, the other must not make again.
@pytest.mark.parametrize(
    "deleted",
    [
        {
            "evaluation.json": ["compare the answers"],
            "android/assets/tiny/labels.txt": ["package for Android, assets"],
            "pi/tiny-pi-3.11-aarch64.tar.gz": PACKAGE[1:2],
            # Written from what is known, so writing it is not announced as a stage.
            "measured.json": [],
        },
        {
            ".scores/int8.npy": ["evaluate int8"],
            "pi/tiny-pi-3.11-aarch64.deb": PACKAGE[2:],
            "manifest.json": [],
            "selection.json": [],
        },
    ],
)
def test_deleted_files_come_back_with_the_same_bytes(built, deleted):
    before = snapshot(built.folder)
    for name in deleted:
        (built.folder / name).unlink()
    assert built.ran() == [step for steps in deleted.values() for step in steps]
    assert snapshot(built.folder) == before


def test_flipped_byte_of_a_deliverable_and_lost_report_are_mended(built):
    before = snapshot(built.folder)
    flip(built.apk, -30_000)
    flip(built.bundle(), 5_000)
    flip(built.bundle().with_name("tiny-pi-3.11-aarch64.deb"), 5_000)
    (built.folder / "report.html").unlink()
    assert built.ran() == [*PACKAGE, "write the report"]
    assert snapshot(built.folder) == before


@pytest.mark.slow
def test_deleted_assets_tree_comes_back(built):
    before = snapshot(built.folder)
    shutil.rmtree(built.folder / "android" / "assets")
    assert built.ran() == ["package for Android, assets"]
    assert snapshot(built.folder) == before


@pytest.mark.slow
def test_stray_file_in_the_assets_tree_is_removed(built):
    before = snapshot(built.folder)
    (built.folder / "android" / "assets" / "stray.txt").write_text("mine")
    assert built.ran() == ["package for Android, assets"]
    assert snapshot(built.folder) == before


def test_damaged_record_runs_its_stage_again(built):
    before = snapshot(built.folder)
    records = built.folder / ".stages"
    (records / "evaluation.json").write_bytes(b"\xff{")
    (records / "report.json").write_text('{"inputs": 3, "outputs": [1]}')
    (records / "pictures.json").write_text('{"x": 4}')
    assert built.ran() == ["compare the answers", "write the report"]
    assert snapshot(built.folder) == before


def test_changed_evaluation_picture_is_evaluated_again_and_converts_nothing(
    built, tiny
):
    evaluated = sorted(built.root.glob("pictures/*/*.png"))
    calibrating = _calibration(built)
    target = next(path for path in evaluated if path not in calibrating)
    # A picture whose digest sorts after the calibrating ones, so the split stays.
    _rewrite_outside_the_split(target, calibrating)
    ran = built.ran()
    assert ran[:3] == [*EVALUATE, "compare the answers"]
    # Nothing that was measured reaches a deliverable.
    assert ran[3:] == ["write the report"]


@pytest.mark.slow
def test_other_version_packages_what_carries_it_again_and_nothing_else(built):
    ran = built.ran("--version-code", "7")
    carriers = [PACKAGE[0], PACKAGE[2], VERIFY[0], VERIFY[2]]
    assert ran == [*carriers, "write the report"]
    assert built.ran("--version-code", "7") == []


@pytest.mark.slow
def test_only_the_choice_is_packaged_when_asked(built):
    ran = built.ran("--only")
    assert ran == [*EVERYTHING, *VERIFY, "write the report"]
    models = built.folder / "android" / "assets" / "tiny" / "models"
    assert [path.name for path in models.iterdir()] == ["int8.tflite"]


def test_changed_label_file_is_refused_until_accepted(built):
    labels = built.root / "labels.txt"
    labels.write_text("red\ngreen\nblue\ngray\n", encoding="utf-8")
    (built.root / "pictures" / "grey").rename(built.root / "pictures" / "gray")
    done = built.build()
    assert done.returncode == 1
    assert "labels_sha256" in done.stderr
    assert "--update-lock" in done.stderr


@pytest.mark.slow
def test_changed_model_file_goes_all_the_way(built, tiny):
    weights = built.root / "tiny.keras"
    tiny.write_other_network(weights)
    done = built.build()
    assert done.returncode == 1
    assert "pins another weights" in done.stderr
    ran = built.ran("--update-lock")
    assert ran[:2] == CONVERT
    assert [step for step in ran if step in EVERYTHING + VERIFY] == [
        *EVERYTHING,
        *VERIFY,
    ]
    assert built.ran() == []


@pytest.mark.slow
def test_recipe_more_converts_and_evaluates_that_one(built):
    ran = built.ran("--recipes", "int8,dynamic_int8")
    assert ran[:1] == ["convert dynamic_int8"]
    assert "evaluate dynamic_int8" in ran
    assert not set(ran) & {*CONVERT, *EVALUATE}


@pytest.mark.slow
def test_changed_calibration_picture_converts_only_what_is_calibrated(built):
    calibrating = _calibration(built)
    calibrating[0].write_bytes(calibrating[0].read_bytes() + b"\0")
    ran = built.ran()
    assert "convert int8" in ran
    assert "convert float32" not in ran


def _calibration(project):
    """The pictures whose content digests sort first, worked out here anew."""
    import hashlib

    pictures = sorted(
        project.root.glob("pictures/*/*.png"),
        key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    return pictures[:16]


def _rewrite_outside_the_split(target, calibrating):
    import hashlib

    last = hashlib.sha256(calibrating[-1].read_bytes()).hexdigest()
    data = target.read_bytes()
    for extra in range(256):
        # Bytes after the end of a PNG change the file and not the picture.
        changed = data + bytes([extra])
        if hashlib.sha256(changed).hexdigest() > last:
            target.write_bytes(changed)
            return
    raise AssertionError("no byte of 256 moved the digest behind the split")
