"""What `doctor` finds: rows of a table, each with what to do where something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One row. advice: what to do; for problems only."""

    status: Literal["ok", "warn", "FAIL"]
    what: str
    found: str
    advice: str = ""


def ok(what: str, found: str) -> Finding:
    return Finding("ok", what, found)


def warn(what: str, found: str, advice: str) -> Finding:
    """Something that may be meant, or that will be a problem later."""
    return Finding("warn", what, found, advice)


def fail(what: str, found: str, advice: str) -> Finding:
    """Something that keeps sessions from working."""
    return Finding("FAIL", what, found, advice)


def table(findings: Sequence[Finding]) -> str:
    """All rows, and a line that counts the problems."""
    width = max(len(finding.what) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:4}  {finding.what:<{width}}  {finding.found}")
        if finding.advice:
            lines.append(f"{'':6}{'':{width}}  -> {finding.advice}")
    failures, warnings = (sum(f.status == s for f in findings) for s in ("FAIL", "warn"))
    return "\n".join([*lines, f"{failures} failed, {warnings} to look at"])
