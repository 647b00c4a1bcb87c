"""JUnit's XML, as continuous integration servers read it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from lodiag.render.cases import Case, list_cases
from lodiag.render.escaping import printable

if TYPE_CHECKING:
    from lodiag.model import Report

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML can hold, however they are written (XML 1.0, 2.2)."""

_ELEMENTS = {"fail": "failure", "error": "error", "skipped": "skipped"}


def render(report: Report[Any, Any]) -> str:
    """Write one suite with a case for each check or finding.

    A warning passes, with its message in ``system-out``: JUnit knows none.
    """
    cases = list_cases(report)
    counts = {
        "tests": len(cases),
        "failures": sum(case.status == "fail" for case in cases),
        "errors": sum(case.status == "error" for case in cases),
        "skipped": sum(case.status == "skipped" for case in cases),
        "time": f"{report.duration_ms / 1000:.6f}",
    }
    told = {name: str(value) for name, value in counts.items()}
    whole = {name: value for name, value in told.items() if name != "skipped"}  # the schema of Jenkins has none there
    suites = Element("testsuites", {"name": "lodiag", **whole})
    about = {"name": f"lodiag {report.command}", **told, "timestamp": report.started_at[:19], "hostname": "localhost"}
    suite = SubElement(suites, "testsuite", about)
    for case in cases:
        _add(suite, case)
    indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(suites, "unicode")}\n'


def _add(suite: Element, case: Case) -> None:
    told = {"name": _clean(case.name), "classname": _clean(case.group), "time": f"{case.seconds or 0:.6f}"}
    element = SubElement(suite, "testcase", told)
    text = "\n".join(map(_clean, [case.message, *case.details]))
    if case.status == "skipped":
        SubElement(element, "skipped", {"message": _clean(case.message)})
    elif case.status in _ELEMENTS:
        told = {"message": _clean(case.message), "type": _clean(case.kind)}
        SubElement(element, _ELEMENTS[case.status], told).text = text
    elif case.status == "warn":
        SubElement(element, "system-out").text = f"warning: {text}"


def _clean(text: str) -> str:
    return _NO_XML.sub("?", printable(text))
