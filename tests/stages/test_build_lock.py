"""edgedeploy.lock: what a build resolved is what the next one takes."""

import pytest
import tomlkit

MODEL = ("--model", "tiny.toml")


def facts(project):
    return tomlkit.parse(project.lock.read_text("utf-8")).unwrap()["models"]["tiny"]


def test_everything_resolved_is_pinned(finished):
    pinned = facts(finished)
    assert pinned["weights"]["name"] == "colours"
    assert len(pinned["weights"]["sha256"]) == 64
    assert pinned["calibration"]["images"] == 16
    assert {"edgedeploy", "tensorflow", "keras", "numpy"} <= set(pinned["tools"])
    wheels = pinned["wheels-3.11-aarch64"]
    assert {name.split("-")[0] for name in wheels} == {
        "ai_edge_litert",
        "numpy",
        "pillow",
    }
    assert all(len(digest) == 64 for digest in wheels.values())


def test_changed_weights_file_is_refused_by_name(project, call, refused):
    assert call(project, "fetch", *MODEL)[0] == 0
    before = project.lock.read_bytes()
    path = project.root / "tiny.keras"
    path.write_bytes(path.read_bytes() + b"changed")
    line = refused(project, "fetch", *MODEL, code=1)
    assert "edgedeploy.lock pins another weights for tiny" in line
    assert "sha256 locked" in line
    assert "--update-lock" in line
    assert project.lock.read_bytes() == before


def test_update_lock_accepts_with_a_warning(project, call):
    assert call(project, "fetch", *MODEL)[0] == 0
    before = facts(project)
    path = project.root / "tiny.keras"
    path.write_bytes(path.read_bytes() + b"changed")
    code, out, _ = call(project, "fetch", *MODEL, "--update-lock")
    assert code == 0
    assert out.startswith("warning: ")
    assert facts(project)["weights"]["sha256"] != before["weights"]["sha256"]
    assert call(project, "fetch", *MODEL)[0] == 0


PACKAGE = (*MODEL, *("--images", "pictures", "--recipes", "int8"), "--point-estimate")


def test_missing_locked_wheel_is_refused_and_another_version_not_taken(built, refused):
    text = built.lock.read_text("utf-8")
    built.lock.write_text(text.replace("numpy-1.26.4", "numpy-1.26.3"), "utf-8")
    assert "numpy" in refused(built, "package.pi", *PACKAGE, code=1)


def test_other_tool_versions_are_refused(built):
    text = built.lock.read_text("utf-8")
    version = facts(built)["tools"]["tensorflow"]
    changed = text.replace(f'tensorflow = "{version}"', 'tensorflow = "2.0.0"')
    assert changed != text
    built.lock.write_text(changed, "utf-8")
    done = built.build()
    assert done.returncode == 1
    assert f"tensorflow locked 2.0.0, found {version}" in done.stderr


def test_models_do_not_disturb_each_other_in_one_lock(project, call):
    text = (project.root / "tiny.toml").read_text("utf-8")
    other = text.replace('name = "tiny"', 'name = "other"')
    (project.root / "other.toml").write_text(other, "utf-8")
    assert call(project, "fetch", *MODEL)[0] == 0
    own = facts(project)
    assert call(project, "fetch", "--model", "other.toml")[0] == 0
    assert facts(project) == own


@pytest.mark.parametrize(
    "damage",
    [
        b"schema = 1\n[models.tiny.weights\n",
        b"\xff\xfe\x00",
        b"schema = 99\n",
        b'schema = "1"\n',
        b"models = 3\n",
        b"schema = 1\nmodels = 3\n",
        b"schema = 1\n[models]\ntiny = 3\n",
        b"schema = 1\n[models.tiny]\nweights = 3\n",
        b"schema = 1\n[models.tiny.weights]\nsha256 = 3\n",
        b'schema = 1\n[models.tiny.weights]\nname = "colours"\n',
        b"schema = 1\n[models.tiny]\nweights = []\n[models.tiny]\n",
    ],
)
def test_damaged_lock_is_bad_input_in_one_line(project, refused, damage):
    project.lock.write_bytes(damage)
    line = refused(project, "fetch", *MODEL)
    assert "edgedeploy.lock" in line
    assert project.lock.read_bytes() == damage


def test_damaged_pins_of_later_stages_are_bad_input_too(built, refused):
    text = built.lock.read_text("utf-8")
    start = text.index('[models.tiny."wheels-3.11-aarch64"]')
    kept = text[:start]
    built.lock.write_text(kept + '[models.tiny]\n"wheels-3.11-aarch64" = 7\n', "utf-8")
    refused(built, "package.pi", *PACKAGE)


def test_lock_that_is_a_folder_is_one_line(project, refused):
    project.lock.mkdir()
    assert "edgedeploy.lock" in refused(project, "fetch", *MODEL)
