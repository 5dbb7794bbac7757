"""The page as a document: structure, safety, completeness."""

import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from edgedeploy.report import ReportData, render

VOID = {"meta", "img", "br", "link", "input", "hr"}
ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Collects what the tests ask for, and checks the nesting on the way."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.ids, self.headings = [], [], [], []
        self._open = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append((tag, values))
        if "id" in values:
            self.ids.append(values["id"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data):
        if not self._open or self._open[-1] != "style":
            self.text.append(data)

    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))


def page_of(values):
    return Page(render(ReportData(**values)))


def test_document_is_well_formed_with_one_h1_and_headings_in_order(values):
    page = page_of(values)
    assert page.headings.count(1) == 1
    assert page.headings[0] == 1
    for before, after in zip(page.headings, page.headings[1:], strict=False):
        assert after <= before + 1
    assert len(page.ids) == len(set(page.ids))


def test_nothing_points_outside_the_page(values):
    html = render(ReportData(**values))
    for tag, attributes in Page(html).tags:
        assert tag not in {"script", "link", "iframe", "object", "form", "base"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href", "srcset", "action", "data"}:
                assert value.startswith(("#", "data:image/jpeg;base64,")), value
    for target in re.findall(r"url\(([^)]*)\)", html):
        assert target.startswith("#")
    assert "@import" not in html


def test_inner_links_lead_somewhere(values):
    values["benchmark"] = None
    page = page_of(values)
    targets = [a["href"] for tag, a in page.tags if tag == "a"]
    uses = [a["href"] for tag, a in page.tags if tag == "use"]
    assert targets
    for target in targets + uses:
        assert target[1:] in page.ids


def test_policy_allows_inline_style_and_data_images_only(values):
    policies = [
        attributes["content"]
        for tag, attributes in page_of(values).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    ]


def test_every_picture_has_an_alternative_text_and_plots_a_description(values):
    page = page_of(values)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert images
    assert all(image["alt"].startswith("pictures/") for image in images)
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) == 3
    for drawing in drawings:
        assert drawing["role"] == "img"
        for name in drawing["aria-labelledby"].split():
            assert name in page.ids
    assert sum(tag == "figcaption" for tag, _ in page.tags) == 3


def test_sections_come_in_the_promised_order(values):
    html = render(ReportData(**values))
    order = (
        "key-figures variants plots flipped contract warnings verification packaged "
        "sources rebuild"
    )
    places = [html.index(f'<h2 id="{name}">') for name in order.split()]
    assert places == sorted(places)


def test_figures_of_the_choice_are_held_against_float32(values):
    words = page_of(values).words()
    assert "5.01 MB" in words
    assert "float32 18.57 MB, 3.7\N{MULTIPLICATION SIGN} smaller" in words
    assert "Latency, median, 2 threads" in words
    # 4.4 ms / 7.3 ms = 0.603: the choice takes 1.66 times as long.
    assert "float32 4.40 ms; slower, 1.66\N{MULTIPLICATION SIGN} the time" in words
    assert "drop \N{MINUS SIGN}0.1 points (\N{MINUS SIGN}0.9 to 0.8)" in words
    assert "Verified: 2 checks passed, 1 not run here" in words


def test_reason_why_each_variant_lost_is_given(values):
    words = page_of(values).words()
    assert "Good enough, but 9.33 MB against 5.01 MB of dynamic_int8." in words
    assert "Top-1 drops 2.10 points, over 0.80; KL 0.0310, over 0.0200." in words


def test_digests_and_commands_are_given(values):
    words = page_of(values).words()
    assert "0123456789abcdef" * 4 in words
    assert "24,301,568 B" in words
    assert "edgedeploy build --model efficientnet_lite0 --weights imagenet" in words
    assert "tensorflow 2.21.0" in words


def test_command_quotes_a_model_that_is_a_path(values):
    values["manifest"]["model"] = "my models/a; rm -rf x.toml"
    words = page_of(values).words()
    assert "--model 'my models/a; rm -rf x.toml'" in words


def test_hostile_texts_stay_texts(values):
    poisoned = {key: values[key] for key in ("manifest", "selection", "benchmark")}
    poisoned["manifest"] |= {
        "title": ATTACK,
        "weights": ATTACK,
        "summary": ATTACK,
        "source": {ATTACK: ATTACK},
        "tools": {ATTACK: ATTACK},
        "deliverables": {ATTACK: {"sha256": ATTACK, "size_bytes": ATTACK}},
        "rebuild": [ATTACK],
    }
    poisoned["selection"]["reasons"] = {"int8": ATTACK}
    poisoned["benchmark"]["devices"][ATTACK] = {
        "host": {"emulated": False, "cpu": ATTACK},
        "variants": {ATTACK: {"error": ATTACK}},
    }
    values |= poisoned
    values["labels"] = (ATTACK,) * 6
    values["warnings"] = (ATTACK,)
    values["notices"] = (ATTACK,)
    values["verification"] = (
        {"level": ATTACK, "name": ATTACK, "passed": True, "detail": ATTACK},
    )
    evaluation = values["evaluation"]
    evaluation["variants"][ATTACK] = evaluation["variants"]["int8"]
    evaluation["variants"][ATTACK]["flipped"][0]["image"] = ATTACK
    evaluation["unmeasured"] = {"top1": ATTACK}
    # A recipe of this name gets into the plots, where "$" would start a formula.
    formula = "$\\frac{1$"
    evaluation["variants"][formula] = evaluation["variants"]["float16"]
    host = values["benchmark"]["devices"]["host"]["variants"]
    host[formula] = host["float16"]
    host[ATTACK] = host["int8"]
    page = page_of(values)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "img":
            assert attributes["src"].startswith("data:image/jpeg;base64,")
    assert page.words().count(re.sub(r"\s+", " ", ATTACK)) >= 20
    assert formula in page.words()


def test_control_and_bidirectional_characters_do_not_reach_the_page(values):
    values["labels"] = ("\x1b[31m\u202etac\x00\udcff",) * 6
    html = render(ReportData(**values))
    html.encode("utf-8")
    assert not re.search("[\x00\x1b\u202e\udcff]", html)


def test_smoke_test_is_called_one_before_any_figure(smoke_values):
    html = render(ReportData(**smoke_values))
    assert html.index("Smoke test") < html.index('id="key-figures"')
    words = Page(html).words()
    assert "Agreement with float32" in words
    assert "not an accuracy" in words
    assert "Top-1 accuracy" not in words
    assert "Size against agreement with float32" in words


def test_real_test_is_not_called_a_smoke_test(values):
    assert "Smoke test" not in page_of(values).words()


def test_partial_build_says_what_was_not_measured_and_why(values):
    for name in (
        "benchmark",
        "selection",
        "verification",
        "warnings",
        "pictures",
        "labels",
        "notices",
    ):
        values[name] = None
    values["evaluation"]["unmeasured"] = {
        "benchmark": "left out with --no-benchmark",
        "selection": "nothing was timed",
    }
    values["unmeasured"] = {"verification": "stopped before packaging"}
    page = page_of(values)
    words = page.words()
    assert (
        "Size, latency and memory: not measured; left out with --no-benchmark." in words
    )
    assert "No variant has been chosen: nothing was timed." in words
    assert "Not verified: stopped before packaging" in words
    assert "Not drawn: fewer than two variants have both figures" in words
    assert "picture not at hand" in words
    assert "None" not in words
    assert "nan" not in words.lower().split()
    assert not [tag for tag, _ in page.tags if tag == "svg"]


def test_reference_is_not_praised_for_agreeing_with_itself(smoke_values):
    smoke_values["selection"] = {"gate": "smoke", "choice": None}
    words = page_of(smoke_values).words()
    figure = words[words.index("Agreement with float32") :]
    assert figure.startswith("Agreement with float32 not measured float32 is what")


def test_empty_build_makes_a_whole_page():
    page = Page(render(ReportData(manifest={}, evaluation={})))
    words = page.words()
    assert "Unnamed model" in words
    assert "Not measured: there are no variants yet." in words
    assert "no reason was recorded" in words
    assert "The recorded contract is missing" in words
    assert page.headings.count(1) == 1


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, "x", [], {}, True])
def test_impossible_figures_are_dashes_with_a_reason(values, bad):
    for section in (
        values["evaluation"]["variants"]["int8"],
        values["benchmark"]["devices"]["host"]["variants"]["int8"],
    ):
        for key in section:
            section[key] = bad
    values["evaluation"]["unmeasured"] = {"int8.top1": "the pictures have no labels"}
    page = page_of(values)
    words = page.words()
    assert "the pictures have no labels" in words
    assert "NaN" not in words
    assert not re.search(r"\b(nan|inf|None)\b", words)


@pytest.mark.parametrize("bad", [None, 3, "text", [1], {"a": 1}])
def test_sections_of_a_wrong_kind_do_not_break_the_page(values, bad):
    values["evaluation"]["variants"] = bad
    values["evaluation"]["dataset"] = bad
    values["evaluation"]["pipeline"] = bad
    values["evaluation"]["unmeasured"] = bad
    values["benchmark"]["devices"] = bad
    values["selection"] = {"gate": bad, "choice": bad, "reasons": bad, "budgets": bad}
    for key in ("deliverables", "files", "tools", "licence", "source", "rebuild"):
        values["manifest"][key] = bad
    assert page_of(values).headings.count(1) == 1


def test_failed_check_outweighs_passed_ones(values):
    values["verification"] += (
        {"level": "host", "name": "digests", "passed": False, "detail": "labels.txt"},
    )
    words = page_of(values).words()
    assert "Verification failed: 1 check of 4, 1 not run here" in words
    assert "Verified:" not in words


def test_checks_that_were_not_run_verify_nothing(values):
    values["verification"] = ({"level": "phone", "name": "x", "passed": None},)
    words = page_of(values).words()
    assert "Not verified: no check was run here" in words
    assert "not run here" in words


def test_emulated_times_are_not_reported(values):
    devices = values["benchmark"]["devices"]
    devices["qemu"] = json.loads(json.dumps(devices["host"]))
    devices["qemu"]["host"]["emulated"] = True
    for variant in devices["qemu"]["variants"].values():
        variant["threads"]["1"]["p50_ms"] = 7777.0
        variant["threads"]["2"]["p50_ms"] = 6666.0
    words = page_of(values).words()
    assert "Times are not reported" in words
    assert "7,777" not in words
    assert "6,666" not in words
    del devices["host"]
    words = page_of(values).words()
    assert "6,666" not in words
    assert "qemu was emulated" in words


def test_crashed_variant_keeps_its_error(values):
    host = values["benchmark"]["devices"]["host"]["variants"]
    host["int8"] = {"error": "the runtime died with SIGSEGV", "size_bytes": 5_270_016}
    words = page_of(values).words()
    assert "the runtime died with SIGSEGV" in words


def test_at_most_24_flips_are_shown_and_the_rest_counted(values):
    values["evaluation"]["variants"] = {
        name: values["evaluation"]["variants"][name] for name in ("float32", "int8")
    }
    page = page_of(values)
    assert sum(tag == "img" for tag, _ in page.tags) == 24
    assert "7 more are not shown here" in page.words()


def test_flips_name_truth_and_both_answers(values):
    words = page_of(values).words()
    assert "goldfish float32 goldfish dynamic_int8 tabby cat" in words
    assert "no label" in words


def test_unreadable_picture_leaves_a_note(values, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    values["pictures"] = dict.fromkeys(values["pictures"], broken)
    page = page_of(values)
    assert "picture cannot be read" in page.words()
    assert not [tag for tag, _ in page.tags if tag == "img"]


def test_class_index_outside_the_labels_is_shown_as_a_number(values):
    values["evaluation"]["variants"]["int8"]["flipped"][0]["variant"] = 99
    assert "class 99" in page_of(values).words()


def test_same_data_gives_the_same_bytes(values, monkeypatch):
    first = render(ReportData(**values))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    import matplotlib as mpl

    # What the user has set for their own plots must not show.
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert render(ReportData(**values)) == first
    assert not re.search(r"\b20\d\d-\d\d-\d\d", first)


def test_importing_the_report_loads_nothing_heavy():
    code = (
        "import sys, edgedeploy.report; "
        "heavy = {'matplotlib', 'tensorflow', 'jinja2', 'rich'} & set(sys.modules); "
        "sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
