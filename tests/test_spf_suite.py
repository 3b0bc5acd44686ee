"""The RFC 7208 test suite of the SPF project, through our own asking and the evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from smtpd.checks import spf
from smtpd.checks.spf_evaluator import SpfCaps
from smtpd.questions import Answer, Kind, Question, Record, Status
from tests.material import material_files

CAPS = SpfCaps(record_max_bytes=2048, queries_max=40)
FILES = material_files("spf/*.yml")
COUNT = 203


@dataclass(frozen=True)
class Case:
    """One test of the suite."""

    name: str
    host: str
    mail_from: str
    helo: str
    results: tuple[str, ...]
    zone: SuiteZone


@dataclass(frozen=True)
class SuiteZone:
    """The suite's zone data, answered as a resolver does: CNAMEs are followed."""

    data: dict[str, list[Any]]

    async def lookup(self, question: Question) -> Answer:
        return self._answer(question.name, question.kind, hops=0)

    def _answer(self, name: str, kind: Kind, hops: int) -> Answer:
        entries = self.data.get(name)
        if entries is None:
            return Answer(Status.NXDOMAIN)
        found, silent = [], False
        for entry in entries:
            if not isinstance(entry, dict) or entry.get(kind) == "TIMEOUT":
                silent = True  # for every type that has no record
            elif "CNAME" in entry:
                # A chain that long is a loop, and no resolver gives an answer to it.
                target = str(entry["CNAME"]).lower().rstrip(".")
                looped = hops > 8
                return Answer(Status.SERVFAIL) if looped else self._answer(target, kind, hops + 1)
            elif kind in entry and entry[kind] != "NONE":
                found.append(_record(entry[kind], kind))
        if found:
            return Answer(Status.FOUND, tuple(found))
        return Answer(Status.TIMEOUT if silent else Status.NODATA)


def _record(value: Any, kind: Kind) -> Record:
    if kind is Kind.TXT:
        strings = value if isinstance(value, list) else [value]
        return "".join(map(str, strings)).encode("latin-1", "replace")
    if kind is Kind.MX:
        return int(value[0]), str(value[1]).lower().rstrip(".")
    return str(value).lower().rstrip(".")


def _with_txt(entries: list[Any]) -> list[Any]:
    """Records of the type SPF stand for TXT records, where there is no TXT record."""
    if any(isinstance(entry, dict) and "TXT" in entry for entry in entries):
        return entries
    return entries + [{"TXT": e["SPF"]} for e in entries if isinstance(e, dict) and "SPF" in e]


def cases() -> Iterator[Case]:
    for file in FILES:
        for scenario in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            zone = SuiteZone(
                {
                    str(name).lower().rstrip("."): _with_txt(entries)
                    for name, entries in scenario["zonedata"].items()
                }
            )
            for name, test in scenario["tests"].items():
                expected = test["result"]
                yield Case(
                    name=name,
                    host=test["host"],
                    mail_from=test.get("mailfrom") or "",
                    helo=test["helo"],
                    results=tuple(expected) if isinstance(expected, list) else (expected,),
                    zone=zone,
                )


CASES = list(cases())


async def in_place(function: Any, *arguments: object) -> Any:
    return function(*arguments)


@pytest.mark.material
def test_the_suite_is_whole(material: Path) -> None:
    assert len(CASES) == COUNT


@pytest.mark.material
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_suite_s_verdict_is_ours(case: Case) -> None:
    found, _ = await spf.check(
        case.host, case.mail_from, case.helo, run=in_place, lookup=case.zone.lookup, caps=CAPS
    )
    assert found.result in case.results
