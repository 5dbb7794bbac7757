"""What clean removes, and what it leaves."""

FETCH = ("--model", "tiny.toml")


def test_clean_removes_the_build_and_keeps_the_lock_file(project):
    assert project.run("fetch", *FETCH).returncode == 0
    assert project.folder.is_dir()
    locked = project.lock.read_bytes()
    done = project.run("clean", *FETCH)
    assert done.returncode == 0, done.stderr
    assert "removed " in done.stdout
    assert not project.folder.exists()
    assert project.lock.read_bytes() == locked
    again = project.run("clean", *FETCH)
    assert again.returncode == 0, again.stderr
    assert "nothing to remove" in again.stdout
