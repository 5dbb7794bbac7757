"""Android packages through the command line: kinds by name, several models at once."""

import json
import zipfile

import pytest

FLAGS = (
    "--images",
    "pictures",
    "--recipes",
    "dynamic_int8",
    "--only",
    "--point-estimate",
)


def test_kinds_and_models_that_cannot_be_are_refused_before_anything_is_made(
    project, refused
):
    text = (project.root / "tiny.toml").read_text()
    (project.root / "tiny2.toml").write_text(text.replace('"tiny"', '"tiny2"'))
    flags = ("--model", "tiny.toml", *FLAGS)
    assert "asset-pack" in refused(project, "package.android", *flags, "--kind", "ipa")
    line = refused(
        project, "package.android", *FLAGS, "--models", "tiny.toml,tiny.toml"
    )
    assert "two or more" in line
    line = refused(
        project,
        "package.android",
        *(*flags, "--kind", "aar", "--version-name", "1 beta"),
    )
    assert "--version-name" in line
    line = refused(project, "package.android", *flags, "--rotated-from", "old.p12")
    assert "--keystore" in line
    line = refused(project, "package.android", *flags, "--kind", "apk,tar")
    assert "'tar'; package.pi" in line
    line = refused(project, "package.pi", *flags, "--kind", "apk")
    assert "'apk'; package.android" in line
    for kind in ("update", "app"):
        line = refused(
            *(project, "package.android", *FLAGS, "--kind", f"apk,{kind}"),
            *("--models", "tiny.toml,tiny2.toml"),
        )
        assert f"--kind {kind} takes one model" in line
    assert not (project.folder / "variants").exists()


@pytest.mark.slow
def test_every_kind_is_packaged_and_skipped_the_second_time(project):
    kinds = "assets,apk,aar,asset-pack,ai-pack,aab,update"
    flags = ("--model", "tiny.toml", *FLAGS)
    done = project.run("package.android", *flags, "--kind", kinds, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert len(answer["deliverables"]) == 7
    assert set(answer["sizes"]) == set(kinds.split(","))
    for path in answer["deliverables"]:
        verified = project.run("verify", "--path", path)
        assert verified.returncode == 0, verified.stdout
    again = project.run("package.android", *flags, "--kind", kinds)
    assert "package for Android" not in again.stderr + again.stdout


@pytest.mark.slow
def test_two_models_of_one_label_set_share_a_package(project):
    text = (project.root / "tiny.toml").read_text()
    (project.root / "second.toml").write_text(text.replace('"tiny"', '"second"'))
    done = project.run(
        *("package.android", "--models", "tiny.toml,second.toml"),
        *(*FLAGS, "--kind", "apk", "--json"),
    )
    assert done.returncode == 0, done.stderr
    (path,) = json.loads(done.stdout)["deliverables"]
    with zipfile.ZipFile(project.root / path) as archive:
        index = json.loads(archive.read("assets/models.json"))
    assert [one["model"] for one in index["models"]] == ["tiny", "second"]
    assert project.run("verify", "--path", path).returncode == 0
