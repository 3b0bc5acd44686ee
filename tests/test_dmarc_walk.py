"""The tree walk of RFC 9989 section 4.10, read from its steps."""

from __future__ import annotations

import pytest

from smtpd.checks.dmarc_record import DmarcRecord
from smtpd.checks.dmarc_walk import Step, belong_together, names, organisations


def step(name: str, said: str) -> Step:
    """A record with this psd, "-" for none, "?" for no answer."""
    record = DmarcRecord(psd=said) if said in "ynu" else None
    return Step(name, record, said == "?")


def walk(domain: str, *said: str) -> list[Step]:
    return [step(name, one) for name, one in zip(names(domain), said, strict=False)]


def test_the_names_of_the_example_in_the_rfc() -> None:
    assert names("a.b.c.d.e.f.g.h.i.j.mail.example.com") == (
        "a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "g.h.i.j.mail.example.com",
        "h.i.j.mail.example.com",
        "i.j.mail.example.com",
        "j.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    )


@pytest.mark.parametrize(("labels", "steps"), [(1, 1), (2, 2), (7, 7), (8, 8), (9, 8), (99, 8)])
def test_a_walk_has_eight_names_at_most(labels: int, steps: int) -> None:
    found = names(".".join(["a"] * labels))
    assert len(found) == len(set(found)) == steps


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("---", {"a.b.c"}),
        ("u--", {"a.b.c"}),
        ("uu-", {"b.c"}),
        ("-uu", {"c"}),
        ("n", {"a.b.c"}),
        ("y", {"a.b.c"}),
        ("-n", {"b.c"}),
        ("-y", {"a.b.c"}),
        ("--y", {"b.c"}),
        ("u-y", {"b.c"}),
        # Without an answer: no record, or one with psd=n, psd=y or neither.
        ("?--", {"a.b.c"}),
        ("-?-", {"a.b.c", "b.c"}),
        ("--?", {"a.b.c", "b.c", "c"}),
        ("?-u", {"a.b.c", "c"}),
        ("-?u", {"a.b.c", "b.c", "c"}),
        ("-?n", {"a.b.c", "b.c", "c"}),
        ("-?y", {"a.b.c", "b.c"}),
        ("u?y", {"a.b.c", "b.c"}),
        ("-u?", {"b.c", "c"}),
        ("?y", {"a.b.c"}),
        ("???", {"a.b.c", "b.c", "c"}),
    ],
)
def test_a_domain_has_one_organisation_or_those_it_may_have(said: str, expected: set[str]) -> None:
    assert organisations(walk("a.b.c", *said)) == expected


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (walk("a.c", *"-u"), walk("b.c", *"-u"), True),
        (walk("a.c", *"--"), walk("b.c", *"--"), False),
        (walk("a.c", *"-y"), walk("b.c", *"-y"), False),
        (walk("a.b.c", *"--y"), walk("b.c", *"-y"), True),
        (walk("a.c", *"-y"), walk("c", *"y"), False),
        (walk("a.b.c", *"-n"), walk("b.c", *"n"), True),
        (walk("a.b.c", *"-n"), walk("c", *"u"), False),
        # Whatever is above the record that both pass, they go on alike.
        (walk("a.b.c", *"-u?"), walk("b.c", *"u?"), True),
        (walk("a.b.c", *"?u-"), walk("b.c", *"u-"), False),
        (walk("a.c", *"-?"), walk("b.c", *"-?"), False),
    ],
)
def test_domains_belong_together(one: list[Step], other: list[Step], together: bool) -> None:
    assert belong_together(one, other) is together
    assert belong_together(other, one) is together
