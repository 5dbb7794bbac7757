"""Two builds in two folders, as two people in two countries: the same bytes."""

import os

import pytest


def promised(project):
    """Every deliverable, and the manifest; not what was measured."""
    kept = ("android", "pi", "variants")
    return {
        path.relative_to(project.folder).as_posix(): path.read_bytes()
        for path in sorted(project.folder.rglob("*"))
        if path.is_file()
        and (
            path.relative_to(project.folder).parts[0] in kept
            or path.name == "manifest.json"
        )
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_other_folder_zone_language_and_umask_give_the_same_bytes(fresh_project):
    builds = []
    for name, umask, stamp, variables in (
        ("here", 0o022, 1_000_000_000, {"TZ": "UTC", "PYTHONHASHSEED": "1"}),
        (
            "anderswo mit Löchern/im Pfad",
            0o077,
            1_700_000_001,
            {
                "TZ": "Pacific/Kiritimati",
                "LANG": "de_DE.UTF-8",
                "LC_ALL": "C",
                "PYTHONHASHSEED": "2",
                "COLUMNS": "200",
            },
        ),
    ):
        project = fresh_project.copy(fresh_project.root.parent / name)
        # The same key, as one user has; all else is found anew.
        # pip takes a space in PIP_FIND_LINKS for the end of a folder's name.
        project.home = fresh_project.root.parent / f"home-{umask}"
        project.home.mkdir()
        (project.home / "wheels").symlink_to(fresh_project.home / "wheels")
        keys = str(fresh_project.home / "keys")
        for path in project.root.rglob("*"):
            os.utime(path, (stamp, stamp))
        before = os.umask(umask)
        try:
            done = project.build(
                *("--recipes", "float16,dynamic_int8,int8"),
                *("--python", "3.11,3.13"),
                EDGEDEPLOY_KEYS=keys,
                **variables,
            )
        finally:
            os.umask(before)
        assert done.returncode == 0, done.stderr
        builds.append(promised(project))
    first, second = builds
    assert list(first) == list(second)
    assert sum(name.endswith(".tflite") for name in first) == 4 + 2
    assert sum(name.endswith(".tar.gz") for name in first) == 2
    assert sum(name.endswith(".deb") for name in first) == 2
    different = [name for name in first if first[name] != second[name]]
    assert different == []
