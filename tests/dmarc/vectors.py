"""Reads the vectors; README.md tells their form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smtpd.checks.dmarc import Alignment
from smtpd.evidence import DkimFinding, Result, SpfFinding
from smtpd.questions import Status
from tests.zones import Records

Entry = Records | Status


@dataclass
class Vector:
    """One paragraph of a file in tests/dmarc/."""

    title: str
    author: str = ""
    spf: SpfFinding = field(default_factory=SpfFinding)
    dkim: list[DkimFinding] = field(default_factory=list)
    names: dict[str, Entry] = field(default_factory=dict)  # the zone
    expected: dict[str, str] = field(default_factory=dict)


def vectors() -> list[Vector]:
    paragraphs = [
        paragraph
        for file in sorted(Path(__file__).parent.glob("*.txt"))
        for paragraph in file.read_text("utf-8").strip().split("\n\n")
    ]
    return [vector(paragraph.splitlines()) for paragraph in paragraphs]


def vector(lines: Sequence[str]) -> Vector:
    made = Vector(lines[0])
    for line in lines[1:]:
        key, _, value = line.strip().partition(" ")
        value = value.strip()
        if key == "author":
            made.author = value
        elif key == "spf":
            result, domain = value.split()
            made.spf = SpfFinding(result=Result(result), domain=domain)
        elif key == "dkim":
            result, domain = value.split()
            made.dkim.append(DkimFinding(result=Result(result), domain=domain))
        elif key == "exists":
            made.names[made.author] = entry(value, {}, "A")
        elif key.startswith("_dmarc."):
            made.names[key] = entry(value, made.names.get(key, {}), "TXT")
        else:
            assert key in ("is", "organisation", "asks"), line
            made.expected[key] = value
    return made


def entry(value: str, earlier: Entry, kind: str) -> Entry:
    """What a zone says of a name after one more line about it."""
    if value == "!nodata":
        return {}
    if value.startswith("!"):
        return Status(value[1:])
    texts = [] if isinstance(earlier, Status) else earlier.get(kind, [])
    return {kind: [*texts, value] if isinstance(texts, list) else [value]}


def told(alignment: Alignment) -> str:
    finding = alignment.finding
    parts = [str(finding.result)]
    if alignment.aligned:
        parts.append(f"aligned by {alignment.proven_by}")
    if alignment.undecided:
        parts.append("undecided")
    if finding.policy or finding.record_at:
        parts.append(f"{finding.policy} of {finding.record_at}")
    return ", ".join(parts)
