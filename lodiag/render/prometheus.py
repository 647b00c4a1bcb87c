"""Metrics in Prometheus's text exposition format 0.0.4, for a node_exporter textfile collector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.dataclass import fields, is_dataclass
from lodiag.render.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lodiag.model import Report

_BASE_UNITS = {
    "_ms": ("_seconds", 1e-3),
    "_bps": ("_bytes_per_second", 0.125),
    "_per_s": ("_per_second", 1.0),
    "_s_per_gb": ("_seconds_per_1e9_bytes", 1.0),
    "_count": ("s", 1.0),
}
"""Prometheus wants base units in full, and keeps ``_count`` to histograms; the rest of a name is the field's."""


class _Family:
    """The samples of one metric."""

    def __init__(self, meaning: str) -> None:
        self.meaning = meaning
        self.samples: list[str] = []


def render(report: Report[Any, Any]) -> str:
    """Write every measured number; what was not measured has no sample."""
    families: dict[str, _Family] = {}
    stem = f"lodiag_{report.command}"
    _collect(families, stem, report.summary, {})
    for record in report.records:
        _collect(families, stem, record, {})
    for finding in report.findings:
        labels = {"command": report.command, **_labels(finding)}
        _add(families, "lodiag_finding", "1 for each finding of the last run.", labels, 1)
    about = {"command": report.command, "version": report.version, "source": report.source or ""}
    _add(families, "lodiag_report", "1, with what made the report.", about, 1)
    _add(families, f"{stem}_complete", "Whether everything that was asked for could be seen.", {}, report.complete)
    _add(families, f"{stem}_exit_status", "Exit status of the run.", {}, report.exit_status)
    _add(families, f"{stem}_duration_seconds", "How long the run took.", {}, report.duration_ms / 1000)
    lines = []
    for name, family in families.items():
        lines += [f"# HELP {name} {_escape_help(family.meaning)}", f"# TYPE {name} gauge", *family.samples]
    return "\n".join(lines) + "\n"


def _collect(families: dict[str, _Family], stem: str, value: Any, outer: dict[str, str]) -> None:  # noqa: ANN401
    labels = {**outer, **_labels(value)}
    for item in fields(value):
        found = getattr(value, item.name)
        if item.metadata["role"] == "metric" and found is not None:
            name, factor = f"{stem}_{item.name}", 1.0
            for ending, (base, scale) in _BASE_UNITS.items():
                if name.endswith(ending):
                    name, factor = name.removesuffix(ending) + base, scale
            meaning = item.metadata["meaning"]
            if isinstance(found, tuple):  # counters that are told together, as rx.bytes
                for path, count in _leaves(found):
                    _add(families, f"{name}_{path}", f"{meaning} {path.replace('_', ' ')}.", labels, count)
                continue
            _add(families, name, meaning, labels, round(found * factor, 12) if factor != 1.0 else found)
        elif isinstance(found, tuple):
            for inner in found:
                if is_dataclass(inner):
                    _collect(families, stem, inner, labels)


def _leaves(found: Any) -> Iterator[tuple[str, float]]:  # noqa: ANN401 - a named tuple of numbers or of such
    for name, value in found._asdict().items():
        if isinstance(value, tuple):
            yield from ((f"{name}_{path}", count) for path, count in _leaves(value))
        elif value is not None:
            yield name, value


def _labels(value: Any) -> dict[str, str]:  # noqa: ANN401 - any part of a report
    """Labels of a part of a report, and those of the parts that it names by, as ``client_node``."""
    found: dict[str, str] = {}
    for item in fields(value):
        text = getattr(value, item.name)
        if item.metadata["role"] == "label" and text is not None:
            found[item.name] = str(text)
        elif is_dataclass(text):
            found |= {f"{item.name}_{name}": inner for name, inner in _labels(text).items()}
    return found


def _add(families: dict[str, _Family], name: str, meaning: str, labels: dict[str, str], value: float) -> None:
    shown = ",".join(f'{key}="{_escape_label(text)}"' for key, text in labels.items())
    number = repr(float(value)) if isinstance(value, float) else str(int(value))
    family = families.setdefault(name, _Family(meaning))
    family.samples.append(f"{name}{{{shown}}} {number}" if shown else f"{name} {number}")


def _escape_label(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace('"', '\\"')


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
