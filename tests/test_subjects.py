"""Subjects without what mail programs put before them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.subjects import SUBJECT_MAX, answers_another, bare, same, theme


@pytest.mark.parametrize(
    ("subject", "rest", "is_reply"),
    [
        ("A question", "A question", False),
        ("Re: A question", "A question", True),
        ("RE : A question", "A question", True),
        ("re:A question", "A question", True),
        ("Re[2]: A question", "A question", True),
        ("Re (3): A question", "A question", True),
        ("Re: Fwd: AW: A question", "A question", True),
        ("Fwd: Re: A question", "A question", False),
        ("TR: A question", "A question", False),
        ("Réponse: A question", "Réponse: A question", False),
        ("Rép : Une question", "Une question", True),
        ("SV: Antw: Ett ärende", "Ett ärende", True),
        ("回复\uff1a问题", "问题", True),
        ("转发: 问题", "问题", False),
        ("Regarding: A question", "Regarding: A question", False),
        ("Re A question", "Re A question", False),
        ("Reference: 12", "Reference: 12", False),
        ("Re:", "", True),
        ("", "", False),
        ("  \tRe: A question", "A question", True),
        ("Ref: 2026-12", "2026-12", True),
    ],
)
def test_prefixes_are_known(subject: str, rest: str, is_reply: bool) -> None:
    assert bare(subject) == rest
    assert answers_another(subject) is is_reply


def test_one_conversation_has_one_subject() -> None:
    spelled = ["Mes  droits", "Re: mes droits", "TR: RE: MES DROITS", " mes\u00a0droits "]
    assert {same(subject) for subject in spelled} == {"mes droits"}


def test_what_has_no_subject_has_none_in_common() -> None:
    assert {same("Re:"), same(""), same(" \t")} == {""}


@given(st.text(max_size=500))
def test_whatever_a_subject_is_its_rest_is_one_short_line(subject: str) -> None:
    rest = bare(subject)
    assert len(rest) <= SUBJECT_MAX
    assert "\n" not in rest
    assert "\r" not in rest


@given(st.integers(1, 40), st.sampled_from(["Re: ", "Fwd:", "AW[2]: "]))
def test_prefixes_upon_prefixes_come_off_as_far_as_the_line_goes(count: int, prefix: str) -> None:
    short = prefix * min(count, (SUBJECT_MAX - 10) // len(prefix))
    assert same(f"{short}Question") == "question"


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Re: My question, case 17", "My question, case 18", True),
        ("[#123] Re: A question", "[#9/b7] Re: A question", False),
        ("[#123] Re: A question", "[#b7] Re: A question", True),
        ("Absent until 2026-11-27", "Absent until 2026-12-01", True),
        ("第3期について", "第4期について", True),
        ("Holidays", "Notice period", False),
    ],
)
def test_numbers_make_no_theme_of_their_own(one: str, other: str, alike: bool) -> None:
    assert (theme(one) == theme(other)) is alike
