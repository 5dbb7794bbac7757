"""What several tests of deliverables share."""

import pytest


@pytest.fixture(scope="module")
def write_version(tmp_path_factory):
    """Write an update of some version; gives its path, with the key beside it."""
    from hand_made_payloads import make_request

    from edgedeploy.targets.android.update import write_update

    def run(version, **changes):
        folder = tmp_path_factory.mktemp(f"v{version}-")
        changes = {"min_app_version": 5, **changes}
        write_update(folder, make_request(version_code=version, **changes))
        return folder / "colours-update.zip"

    return run


@pytest.fixture(scope="module")
def update(write_version):
    """An update of version 7, for apps from version 5."""
    return write_version(7)
