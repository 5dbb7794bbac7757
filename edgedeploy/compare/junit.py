"""A comparison as a JUnit file, which every CI server shows.

The format has no standard; these elements are the ones that Jenkins, GitLab and
GitHub's reporters agree on: testsuites, testsuite, testcase, failure, skipped.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from edgedeploy.errors import InputError, WorkspaceError
from edgedeploy.workspace import atomic_file

if TYPE_CHECKING:
    from edgedeploy.compare.finding import Finding
    from edgedeploy.compare.verdict import Verdict

_SUITE = "edgedeploy compare"


def write_junit(path: Path, verdict: Verdict) -> None:
    """Write one test case a finding; what was not measured is skipped.

    Args:
        path: Where to; an older file is replaced.
        verdict: What the comparison found.

    Raises:
        InputError: If the file cannot be written there.
    """
    findings = verdict.findings
    counts = {
        "tests": str(len(findings)),
        "failures": str(len(verdict.failed)),
        "errors": "0",
        "skipped": str(sum(one.passed is None for one in findings)),
    }
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": _SUITE, **counts})
    for finding in findings:
        _add_case(suite, finding)
    ElementTree.indent(root)
    text = io.BytesIO()
    ElementTree.ElementTree(root).write(text, encoding="utf-8", xml_declaration=True)
    try:
        with atomic_file(path) as temporary:
            temporary.write_bytes(text.getvalue() + b"\n")
    except (OSError, WorkspaceError) as error:
        raise InputError(f"--junit {path}: cannot be written ({error})") from error


def _add_case(suite: ElementTree.Element, finding: Finding) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", {"classname": _SUITE, "name": finding.name}
    )
    sentence = finding.describe()
    if finding.passed is None:
        ElementTree.SubElement(case, "skipped", {"message": _clean(finding.detail)})
    elif not finding.passed:
        failure = ElementTree.SubElement(case, "failure", {"message": _clean(sentence)})
        failure.text = _clean(sentence)
    else:
        ElementTree.SubElement(case, "system-out").text = _clean(sentence)


def _clean(text: str) -> str:
    # XML has no way to write most control characters, and names come from strangers.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
