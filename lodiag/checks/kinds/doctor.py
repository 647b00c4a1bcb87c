"""What ``lodiag doctor`` finds: that nothing on the loopback is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodiag.checks.keys import choice, endpoint, texts
from lodiag.checks.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lodiag.checks.keys import Reading
    from lodiag.system import System


def groups(value: Any, reading: Reading) -> tuple[str, ...]:  # noqa: ANN401 - as TOML has it
    """Read names of groups of diagnoses, or codes of findings."""
    from lodiag.doctor import choose
    from lodiag.errors import ConfigError

    found = texts(value, reading)
    try:
        choose(found, with_service=True)
    except ConfigError as error:
        message = f"must be groups or codes of doctor: {error}"
        raise ValueError(message) from error
    return found


TARGET = None
KEYS = {"groups": groups, "service": endpoint, "fail_on": choice("fail", "warn")}
TIMEOUT_S = 6.0
"""More than doctor takes before it gives up what does not end."""


def attempt(settings: Mapping[str, Any], left_s: float, system: System) -> Outcome:
    """Diagnose; a finding of severity fail is a failure, with ``fail_on`` also a warning."""
    from lodiag.diagnoses.catalogue import UNLOOKED
    from lodiag.doctor import diagnose

    service = settings.get("service")
    report = diagnose(
        *settings.get("groups", ()),
        service=None if service is None else service.text,
        deadline_s=max(left_s * 0.8, 0.001),
        system=system,
    )
    worst = {"fail", "warn"} if settings.get("fail_on") == "warn" else {"fail"}
    bad = [finding for finding in report.findings if finding.severity in worst and finding.code != UNLOOKED]
    odd = [finding for finding in report.findings if finding.severity == "warn"]
    codes = ", ".join(dict.fromkeys(finding.code for finding in bad or odd)) or "nothing"
    if not bad and report.summary.errors:
        hint = "Give it more time: timeout. lodiag doctor -v tells what it could not look at."
        return Outcome("error", report.summary.verdict, error="not all looked at", expected="nothing", hint=hint)
    if not bad:
        message = odd[0].message if odd else report.summary.verdict
        return Outcome("warn" if odd else "ok", message, observed=codes, expected="nothing")
    first = bad[0]
    fix = f": {'; '.join(first.fix.commands)}" if first.fix and first.fix.commands else ""
    hint = f"{first.hint.rstrip('.')}{fix}" if first.hint else f"lodiag doctor tells more{fix}"
    return Outcome("fail", first.message, error=codes, observed=codes, expected="nothing", hint=hint)
