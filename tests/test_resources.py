import pytest

from edgedeploy import resources
from edgedeploy.errors import WorkspaceError
from edgedeploy.resources import resource_folder


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An empty installation."""
    folder = tmp_path / "lib" / "edgedeploy"
    folder.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", folder)
    return folder


def test_both_folders_are_here_with_something_in_them():
    assert list(resource_folder("models").glob("*.toml"))
    assert list(resource_folder("android_assets").iterdir())


def test_checkout_is_found(package):
    (package.parent / "models").mkdir()
    (package.parent / "pyproject.toml").write_text("")
    assert resource_folder("models") == package.parent / "models"


def test_folder_of_another_package_beside_ours_is_not_taken(package):
    # site-packages can hold a package called models.
    (package.parent / "models").mkdir()
    packaged = package / "_resources" / "models"
    packaged.mkdir(parents=True)
    assert resource_folder("models") == packaged


def test_incomplete_installation_is_one_error(package):
    with pytest.raises(WorkspaceError, match=r"lacks its models folder .* again"):
        resource_folder("models")
