"""The page on disk."""

import pytest

from edgedeploy.errors import WorkspaceError
from edgedeploy.report import ReportData, render, write_report


def test_page_is_written_as_utf8_and_nothing_else_is_left(data, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, data)
    assert path.read_bytes() == render(data).encode("utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_earlier_page_is_replaced_whole(data, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old" * 1_000_000)
    write_report(path, data)
    assert path.read_bytes() == render(data).encode("utf-8")


def test_failure_leaves_the_earlier_page_and_no_rest(data, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WorkspaceError, match="No space left"):
        write_report(path, data)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_is_a_file_is_one_clear_error(tmp_path):
    blocker = tmp_path / "blocker"
    blocker.write_text("")
    with pytest.raises(WorkspaceError):
        write_report(blocker / "report.html", ReportData(manifest={}, evaluation={}))
