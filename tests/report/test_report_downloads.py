"""What Android downloads weigh, on the report's page."""

from edgedeploy.report import ReportData
from edgedeploy.report.downloads import describe_downloads, tabulate_downloads
from edgedeploy.report.page import render

SIZES = {
    "source": "Limits of a shop",
    "kinds": {
        "aar": {
            "download_bytes": 43_940_000,
            "download_brotli_bytes": None,
            "installed_bytes": 112_180_000,
            "limit": "the base module",
            "limit_bytes": 200_000_000,
        },
        "apk": {
            "download_bytes": 1_000_000,
            "download_brotli_bytes": 900_000,
            "installed_bytes": 2_000_000,
            "limit": "none",
            "limit_bytes": None,
        },
    },
    "unmeasured": {"brotli_bytes": "brotli is missing"},
}


def data(sizes):
    return ReportData(manifest={}, evaluation={}, android_sizes=sizes)


def test_each_kind_has_its_row():
    aar, apk = tabulate_downloads(data(SIZES))
    assert (aar["kind"], aar["download"].split()[0]) == ("aar", "43.94")
    assert aar["brotli"] == "\N{EN DASH}" or "0" not in aar["brotli"]
    assert aar["limit"].endswith("the base module")
    assert (apk["limit"], apk["brotli"].split()[0]) == ("none", "0.90")
    assert describe_downloads(data(SIZES)).endswith("brotli is missing")


def test_without_sizes_there_is_no_table():
    assert tabulate_downloads(data(None)) == []
    assert describe_downloads(data(None)) == ""


def test_the_page_shows_them():
    page = render(data(SIZES))
    assert "Android downloads" in page
    assert "43.94" in page
    assert "Android downloads" not in render(data(None))


def test_an_app_s_project_is_said_not_to_have_been_built():
    stamp = {"sha256": "0" * 64, "size_bytes": 1}
    for name, said in (("app/settings.gradle.kts", True), ("x-assets.apk", False)):
        manifest = {"deliverables": {f"android/{name}": stamp}}
        page = render(ReportData(manifest=manifest, evaluation={}))
        assert ("Not run here: Gradle" in page) is said
