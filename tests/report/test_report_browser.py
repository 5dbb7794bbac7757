"""The page in a real browser."""

import re
import shutil
import subprocess

import pytest

from edgedeploy.report import ReportData, render

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MEASURE = """<script>
document.documentElement.setAttribute("data-width",
  document.documentElement.scrollWidth + "/" + window.innerWidth);
</script>"""


def measured_width(html, width, folder):
    """Load the page and have it say how wide it is, and how wide the window is."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium on PATH; on Debian: apt-get install chromium")
    # Headless windows are never narrower than 500 pixels; a frame can be.
    page = folder / "page.html"
    policy = re.compile('<meta http-equiv="Content-Security-Policy"[^>]*>')
    page.write_text(policy.sub("", html) + MEASURE, encoding="utf-8")
    outer = folder / "outer.html"
    outer.write_text(
        f'<iframe src="page.html" width="{width}" height="800" '
        'style="border:0" onload="document.title = '
        "this.contentDocument.documentElement.getAttribute('data-width')"
        '"></iframe>'
    )
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run "
    flags += "disable-background-networking disable-component-update disable-sync "
    flags += "allow-file-access-from-files dump-dom"
    done = subprocess.run(
        [
            browser,
            *(f"--{flag}" for flag in flags.split()),
            f"--user-data-dir={folder / 'profile'}",
            "--virtual-time-budget=5000",
            outer.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r"<title>(\d+)/(\d+)</title>", done.stdout)
    assert found, done.stdout[:500] + done.stderr[-500:]
    return int(found.group(1)), int(found.group(2))


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_page_never_scrolls_sideways(values, tmp_path, width):
    values["labels"] = ("an_unbreakable_label_of_great_length" * 3,) * 6
    values["warnings"] = ("x" * 400,)
    scroll_width, window_width = measured_width(
        render(ReportData(**values)), width, tmp_path
    )
    assert window_width == width
    assert scroll_width <= width


@pytest.mark.slow
def test_overflow_would_be_noticed(tmp_path):
    html = '<!DOCTYPE html><body><div style="width:2000px">wide</div></body>'
    scroll_width, _ = measured_width(html, 390, tmp_path)
    assert scroll_width > 1000
