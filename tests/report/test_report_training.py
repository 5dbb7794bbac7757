"""The page of a training."""

import html.parser

from edgedeploy.report.training import render_training

CURVE = {
    "schema": 1,
    "model": "<script>alert(1)</script>",
    "epochs": [
        {
            "epoch": 1,
            "loss": 0.51239,
            "test_accuracy": 0.9,
            "cpu_s": 3.04,
            "wall_s": 2.0,
        },
        {
            "epoch": 2,
            "loss": 0.25,
            "test_accuracy": 0.8765,
            "cpu_s": 3.0,
            "wall_s": 2.0,
        },
    ],
    "model_bytes": 2_490_000,
    "peak_rss_bytes": 232_400_000,
    "resumed": False,
    "stopped_early": True,
}


class Cells(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows, self.scripts, self._in = [], 0, False

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        self.scripts += tag == "script"
        self._in = tag in ("td", "th")

    def handle_data(self, data):
        if self._in and data.strip():
            self.rows[-1].append(data.strip())

    def handle_endtag(self, tag):
        self._in = False


def read(curve):
    page = render_training(curve, picture=b"\x89PNG")
    cells = Cells()
    cells.feed(page)
    return page, cells


def test_each_epoch_has_a_row():
    _, cells = read(CURVE)
    assert cells.rows == [
        ["Epoch", "Loss", "Test accuracy, %", "CPU, s", "Wall, s"],
        ["1", "0.5124", "90.00", "3.0", "2.0"],
        ["2", "0.2500", "87.65", "3.0", "2.0"],
    ]


def test_best_epoch_and_the_early_stop_are_said():
    page, _ = read(CURVE)
    assert "Best test accuracy 90.00 %, after epoch 1." in page
    assert "It stopped early" in page
    assert "It went on" not in page
    assert "2.49 MB" in page
    assert "232 MB" in page


def test_hostile_name_is_text():
    page, cells = read(CURVE)
    assert cells.scripts == 0
    assert "<title>&lt;script&gt;alert(1)&lt;/script&gt; " in page


def test_page_needs_nothing_else():
    page, _ = read(CURVE)
    assert "data:image/png;base64,iVBORw==" in page
    assert "http" not in page.replace("http-equiv", "")
