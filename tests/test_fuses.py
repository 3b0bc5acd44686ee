"""When so many answers went one way that something is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.courtesy_settings import CourtesySettings
from config.settings import WorkerSettings
from handlers.fuses import (
    NEWCOMER,
    Blown,
    Counts,
    FuseLimits,
    _alike,
    _shingles,
    answered_within_s,
    blown_by_conversation,
    blown_by_counts,
    repeats_us,
    shows_a_person,
    times_said,
)
from handlers.letter import Exchange, Past, State
from tests.letters import NOW, a_letter, said

LIMITS = FuseLimits(
    per_sender=None, per_sender_per_day=30, per_day=100, per_domain=10, domain_senders=5,
    per_thread=6, per_thread_per_day=30, first_contact=2, similar=2,
)  # fmt: skip
COUNTS = Counts(
    to_sender=0, sender_rate=4, to_sender_today=0, to_all=0, to_domain=0,
    domain_senders_lately=2, domain_senders=0, domain_subjects=0,
)  # fmt: skip
ROBOT = (
    "Dear customer, your request has been received and registered. We will answer it as soon "
    "as possible. Your ticket is {ticket}, opened {opened}. Please do not reply to this message."
)
JAPANESE = (
    "お問い合わせありがとうございます。担当者より三日以内にご連絡いたします。番号は{ticket}です。"
)
CONTRACT = "契約書の第三条について質問があります。解約の通知はいつまでですか。"
QUESTIONS = (
    "My landlord wants to keep the deposit though I left everything clean. Is he allowed to?",
    "Thank you. And what is the delay within which he has to give it back to me, please?",
)


@pytest.mark.parametrize(
    ("changes", "fuse"),
    [
        ({}, None),
        ({"to_sender": 7}, None),
        ({"to_sender": 8}, "sender"),  # twice the rate of four
        ({"to_sender": 8, "sender_rate": 5}, None),
        ({"to_sender_today": 29}, None),
        ({"to_sender_today": 30}, "sender"),
        ({"to_domain": 9}, None),
        ({"to_domain": 10, "domain_senders_lately": 1}, None),  # one address is only paced
        ({"to_domain": 10}, "domain"),
        ({"to_domain": 10, "domain_senders": 4, "domain_subjects": 50}, "domain"),
        ({"to_domain": 10, "domain_senders": 50, "domain_subjects": 4}, "domain"),
        ({"to_domain": 10, "domain_senders": 5, "domain_subjects": 5}, None),
        ({"to_all": 99}, None),
        ({"to_all": 100}, "all"),
        ({"to_all": 100, "to_domain": 90, "domain_senders": 9, "domain_subjects": 9}, "all"),
    ],
)
def test_answers_so_far_blow_a_fuse_at_its_limit(changes: dict[str, int], fuse: str | None) -> None:
    blown = blown_by_counts(replace(COUNTS, **changes), LIMITS)
    assert (blown.fuse if blown else None) == fuse


def test_a_limit_that_is_set_goes_before_twice_the_rate() -> None:
    assert blown_by_counts(replace(COUNTS, to_sender=3), replace(LIMITS, per_sender=3))


def test_the_limits_are_those_of_the_settings() -> None:
    settings = CourtesySettings.model_validate({"fuse_per_thread": 3})
    limits = FuseLimits.of(settings, WorkerSettings.model_validate({"max_emails_per_hour": 7}))
    assert (limits.per_thread, limits.per_day, limits.per_sender) == (3, 84, None)


def blown(text: str = QUESTIONS[1], *, seen: bool = False, **past: Any) -> Blown | None:
    old = {"known_since": NOW - timedelta(days=9), **past}
    exchange = Exchange(letter=a_letter(new_text=text), past=Past(**old), person_seen=seen)
    return blown_by_conversation(exchange, LIMITS, NOW)


@pytest.mark.parametrize(
    ("past", "without_a_person", "with_one"),
    [
        ({}, None, None),
        ({"turns": 5}, None, None),
        ({"turns": 6}, "thread", None),
        ({"turns_today": 29}, None, None),
        ({"turns_today": 30}, "thread", "thread"),
        ({"on_this_subject": 9}, None, None),
        ({"known_since": NOW, "on_this_subject": 1}, None, None),
        ({"known_since": NOW, "on_this_subject": 2}, "newcomer", None),
        ({"known_since": None, "on_this_subject": 2}, "newcomer", None),
        ({"known_since": NOW - NEWCOMER, "on_this_subject": 2}, None, None),
    ],
)
def test_a_conversation_blows_a_fuse_at_its_limit(
    past: dict[str, Any], without_a_person: str | None, with_one: str | None
) -> None:
    for seen, fuse in ((False, without_a_person), (True, with_one)):
        found = blown(seen=seen, **past)
        assert (found.fuse if found else None) == fuse


@pytest.mark.parametrize("seen", [False, True])
def test_what_says_the_same_a_third_time_is_held(seen: bool) -> None:
    texts = [ROBOT.format(ticket=f"A-{number}", opened="today") for number in range(3)]
    asked = tuple(said("user", text, day) for day, text in enumerate(texts[:2], 1))
    assert blown(texts[2], seen=seen, said=asked[:1]) is None
    found = blown(texts[2], seen=seen, said=asked)
    assert found is not None
    assert (found.fuse, found.ending.what) == ("similar", State.HELD)


def times(text: str, *others: str) -> int:
    return times_said(text, Past(said=tuple(said("user", other, 1) for other in others)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("1", "01.02.2026 08:00"), ("99-12345", "24.11.2026 10:05")),
        (("#4f5e6a7b", "2026-11-24T10:05:00Z"), ("#00c1d2e3", "2027-01-01T23:59:59Z")),
        (("ABC-9", "Mon, 23 Nov 2026 10:00:00 +0000"), ("ABC-17", "Tue, 1 Dec 2026 9:07:01 +0100")),
        (("0" * 200, "1"), ("2", "3")),
        (("٣٤", "२०२६"), ("34", "2026")),
    ],
)
def test_numbers_and_dates_make_no_new_text(one: tuple[str, str], other: tuple[str, str]) -> None:
    first, second = (ROBOT.format(ticket=ticket, opened=at) for ticket, at in (one, other))
    assert times(first, second) == 1


@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=2))
def test_no_number_makes_a_new_text(numbers: list[int]) -> None:
    one, other = (ROBOT.format(ticket=f"T{number}", opened=number) for number in numbers)
    assert times(one, other) == 1


def test_upper_case_and_line_ends_make_no_new_text() -> None:
    text = ROBOT.format(ticket="1", opened="now")
    assert times(text.upper().replace(" ", "\r\n  "), text) == 1


def test_chinese_and_japanese_are_compared_too() -> None:
    assert times(JAPANESE.format(ticket="三"), JAPANESE.format(ticket="七")) == 1
    assert times(JAPANESE, CONTRACT) == 0
    assert times("您的邮件已收到我们会尽快回复您。", "您的邮件已收到我们会尽快回复您!") == 1


def test_a_text_within_a_longer_one_is_another_text() -> None:
    longer = f"{QUESTIONS[0]} {QUESTIONS[1]}"
    assert times(longer, QUESTIONS[0]) == times(QUESTIONS[0], longer) == 0


def test_a_persons_questions_are_different_texts() -> None:
    assert times(QUESTIONS[1], QUESTIONS[0]) == 0


@pytest.mark.parametrize("text", ["", "Thanks!", "Thank you very much for this answer.", "?" * 99])
def test_what_is_short_may_be_said_again(text: str) -> None:
    assert times(text, text, text, text) == 0


def test_our_own_text_come_back_is_known_for_ours() -> None:
    ours = Past(said=(said("assistant", QUESTIONS[0], 1), said("user", QUESTIONS[1], 2)))
    assert repeats_us(QUESTIONS[0], ours)
    assert not repeats_us(QUESTIONS[1], ours)
    assert times_said(QUESTIONS[0], ours) == 0


@given(st.text(max_size=300), st.text(max_size=300))
def test_being_alike_is_symmetric_and_every_text_is_like_itself(one: str, other: str) -> None:
    first, second = _shingles(one), _shingles(other)
    if first is not None:
        assert _alike(first, first)
    if first is not None and second is not None:
        assert _alike(first, second) == _alike(second, first)


@given(st.lists(st.sampled_from(["a", "b", "1", "の", "\u0301", "_", " ", "\x00", "\ud800", "-"])))
def test_a_hostile_text_gives_no_more_to_compare_than_it_has_characters(signs: list[str]) -> None:
    text = "".join(signs)
    assert len(_shingles(text) or ()) <= len(text)


@pytest.mark.parametrize("sign", ["a", "1", "の", "é", "-", " a", "a\u0301", "İ"])
def test_of_a_text_without_end_the_top_is_compared(sign: str) -> None:
    text = f"The end of it is {sign * 500_000} another word."
    shingles = _shingles(text) or frozenset()
    words = {word for shingle in shingles for word in shingle}
    assert max(map(len, words), default=0) <= 64
    assert "another" not in words


def test_a_hundred_thousand_words_are_no_more_work_than_a_page() -> None:
    """Mails that are answered together are one text, and the loop waits while it is compared."""
    words = " ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}x{'y' * (n % 40)}"
                     for n in range(100_000))  # fmt: skip
    assert len(_shingles(words) or ()) < 5_000


ANSWERED_AT = NOW - timedelta(seconds=90)


def seen(text: str = "Thank you, and if he refuses?", **changes: Any) -> bool:
    past = Past(**{"joined_by": "ours", "answered_at": ANSWERED_AT, **changes})
    return shows_a_person(a_letter(new_text=text), past, answered_within_s(past, NOW))


@pytest.mark.parametrize("joined_by", ["ours", "relay", "tag"])
def test_who_names_our_answer_and_took_the_time_is_a_person(joined_by: str) -> None:
    assert seen(joined_by=joined_by)


@pytest.mark.parametrize(
    "changes",
    [
        {"joined_by": ""},
        {"joined_by": "subject"},
        {"joined_by": "theirs"},
        {"answered_at": None},
        {"answered_at": NOW - timedelta(seconds=19)},
        {"answered_at": NOW + timedelta(hours=1)},
        {"text": QUESTIONS[0] * 12},  # a thousand characters in a minute and a half
        {"text": QUESTIONS[0], "said": (said("user", QUESTIONS[0], 1),)},
    ],
)
def test_who_does_not_shows_no_sign_of_one(changes: dict[str, Any]) -> None:
    assert not seen(**changes)


def test_what_a_fuse_says_names_nobody_and_its_setting() -> None:
    known = set(CourtesySettings.model_fields)
    found = [
        blown_by_counts(replace(COUNTS, to_sender=99), LIMITS),
        blown_by_counts(replace(COUNTS, to_domain=99), LIMITS),
        blown_by_counts(replace(COUNTS, to_all=999), LIMITS),
        blown(turns=9),
        blown(turns_today=99),
        blown(known_since=None, on_this_subject=9),
    ]
    for one in found:
        assert one is not None
        assert "@" not in one.because
        assert one.ending.setting.lower() in known
