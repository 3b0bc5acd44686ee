"""What the text of a letter says about who wrote it: signs that count together."""
# ruff: noqa: RUF001 (the letters of other languages look like Latin ones)

from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import questionwords, robotwords, softsubjects
from handlers.letter import Letter
from handlers.reading import ReadingCaps, read
from handlers.softsigns import READ_AND_WRITTEN_S, Sign, asks, judged, soft_signs
from smtpd.category import A_PERSON, Category, Kind
from smtpd.headers import scan
from tests.bench import courtesy
from tests.letters import a_letter, an_attachment

FIXTURES = Path(__file__).parent / "courtesy"


def letters(name: str) -> list[str]:
    return (FIXTURES / name).read_text(encoding="utf-8").split("=====\n")


def letter_of(text: str) -> Letter:
    return read(text.replace("\n", "\r\n").encode(), ReadingCaps())


def categories(letter: Letter, within_s: float | None = None) -> list[Category]:
    return [sign.category for sign in soft_signs(letter, letter.sender, within_s)]


def kind_of(letter: Letter, within_s: float | None = None) -> Kind:
    return judged(soft_signs(letter, letter.sender, within_s))


@pytest.mark.parametrize("text", letters("people.txt"))
def test_a_person_who_sounds_like_a_program_is_a_person(text: str) -> None:
    letter = letter_of(text)
    assert kind_of(letter) == A_PERSON, soft_signs(letter, letter.sender, None)


@pytest.mark.parametrize("text", letters("programs.txt"))
def test_a_program_is_known_by_two_signs_without_any_mark(text: str) -> None:
    letter = letter_of(text)
    signs = soft_signs(letter, letter.sender, None)
    assert judged(signs).category == scan(text.replace("\n", "\r\n").encode()).first("kind"), signs
    # The reason repeats nothing of the letter.
    assert "acme" not in judged(signs).because
    assert "@" not in judged(signs).because


@pytest.mark.parametrize("text", letters("programs.txt"))
def test_no_single_sign_makes_a_program_of_anybody(text: str) -> None:
    letter = letter_of(text)
    for sign in soft_signs(letter, letter.sender, None):
        assert judged([sign]) == A_PERSON


def test_two_signs_are_needed_and_most_of_them_decide() -> None:
    away = Sign(Category.OUT_OF_OFFICE, "away")
    program = Sign(Category.AUTO_REPLY, "a program")
    assert judged([]) == judged([away]) == A_PERSON
    assert judged([away, program]) == Kind(Category.OUT_OF_OFFICE, "away; a program")
    assert judged([away, program, program]).category is Category.AUTO_REPLY


def test_an_answer_faster_than_reading_is_one_sign() -> None:
    letter = a_letter(
        subject="Re: Mes droits", new_text="I am on vacation till May.", references=("<a@b>",)
    )
    assert kind_of(letter, READ_AND_WRITTEN_S) == A_PERSON
    assert kind_of(letter, READ_AND_WRITTEN_S - 1).category is Category.OUT_OF_OFFICE
    assert categories(a_letter(), 1.0) == [Category.AUTO_REPLY]


def test_an_assistant_that_asks_back_is_stopped_by_its_speed() -> None:
    text = "I am an AI assistant. How can I help you today with your request?"
    letter = a_letter(subject="Re: Mes droits", new_text=text, body_text=text)
    assert kind_of(letter) == A_PERSON
    assert kind_of(letter, 4).category is Category.AUTO_REPLY


@pytest.mark.parametrize(
    ("body", "silent"),
    [
        ("> What was asked.\n> In two lines.", True),
        ("On Mon, 23 Nov 2026 at 10:12, Ada <ada@x.example> wrote:\n> What was asked.", True),
        ("", True),
        ("Yes.\n\nOn Mon, 23 Nov 2026 at 10:12, Ada <ada@x.example> wrote:\n> Asked.", False),
        ("See below.\n> What was asked.\nThis is my answer.", False),
    ],
)
def test_a_reply_without_a_word_of_its_own_is_one_sign(body: str, silent: bool) -> None:
    head = "From: a@x.example\nSubject: Re: x\nIn-Reply-To: <1@us.example>"
    letter = letter_of(f"{head}\n\n{body}\n")
    assert categories(letter) == [Category.AUTO_REPLY] * silent


def test_a_quote_that_begins_a_conversation_is_no_sign() -> None:
    assert categories(letter_of("From: a@x.example\nSubject: this\n\n> What he wrote.\n")) == []


@pytest.mark.parametrize(
    ("content_type", "filename", "expected"),
    [
        ("text/calendar", "", [Category.CALENDAR]),
        ("text/calendar", "hearing.ics", []),
        ("message/delivery-status", "", [Category.BOUNCE]),
        ("message/feedback-report", "", [Category.REPORT]),
        ("message/rfc822", "", []),
    ],
)
def test_parts_that_programs_write_are_signs(
    content_type: str, filename: str, expected: list[Category]
) -> None:
    attachment = an_attachment(content_type=content_type, filename=filename)
    assert categories(a_letter(attachments=(attachment,))) == expected


@pytest.mark.parametrize(
    ("local", "machine"),
    [
        ("notifications", True), ("order-updates", True), ("newsletter+17", True),
        ("security.alerts", True), ("bot", True), ("mailer", True), ("billing", True),
        ("ada", False), ("info", False), ("contact", False), ("support", False), ("j.bot", False),
        ("talbot", False), ("n.mailer", False), ("sales", False), ("alertini", False),
    ],
)  # fmt: skip
def test_local_parts_of_programs_are_told_from_people_s(local: str, machine: bool) -> None:
    signs = soft_signs(a_letter(), f"{local}@x.example", None)
    assert bool(signs) is machine


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("May my landlord do that?", True),
        ("¿Puede hacerlo mi casero?", True),
        ("我必须回复老板吗？", True),
        ("我想知道", True),
        ("Please let me know.", True),
        ("Questions? Write to us.", False),
        ("Need help? Call us.", False),
        ("Didn't request this code?", False),
        ("https://acme.example/c?t=4815", False),
        ("Nothing is asked here.", False),
    ],
)
def test_a_person_s_question_is_told_from_a_program_s(text: str, expected: bool) -> None:
    assert asks([text]) is expected


PHRASES = {
    name: phrases
    for name, phrases in (vars(robotwords) | vars(questionwords)).items()
    if name.isupper() and isinstance(phrases, tuple)
}


def test_every_phrase_stands_once_and_is_found_whatever_its_case_and_accents() -> None:
    assert len(PHRASES) > 8
    for phrases in PHRASES.values():
        assert len(set(phrases)) == len(phrases)
        for phrase in phrases:
            assert phrase
            assert phrase in robotwords.folded(f"so:  {phrase.upper()} .")


CHARACTERS = [*"a .?>-|:[(#0é请'@<\n", "re: ", "out of ", "[1", "code ", "your ", "i am ", "? "]


@pytest.mark.parametrize("piece", CHARACTERS)
def test_a_hundred_kilobytes_of_anything_take_no_long_look(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    start = process_time()
    for _, pattern in softsubjects.SUBJECTS:
        pattern.match(text)
    letter = a_letter(subject=text, new_text=text, body_text=text)
    soft_signs(letter, f"{text}@x.example", 1.0)
    soft_signs(a_letter(subject=f"Re: {text}", new_text=f"x\n{text}"), "a@x.example", None)
    assert process_time() - start < 1


@given(st.text(max_size=300), st.text(max_size=80))
def test_no_text_makes_the_signs_raise(text: str, subject: str) -> None:
    signs = soft_signs(a_letter(new_text=text, body_text=text, subject=subject), subject, None)
    assert judged(signs).category in Category


@pytest.mark.material
@pytest.mark.parametrize("returned", [True, False], ids=["Return-Path", "the author"])
def test_no_real_automatic_mail_is_answered_whatever_its_mail_from(
    returned: bool, material: Path
) -> None:
    figures = courtesy.measured(courtesy.files(courtesy.AUTOMATIC), returned=returned)
    assert figures.mails > 100
    assert figures.by_category[Category.PERSON] == 0
    assert figures.by_category[Category.BOUNCE] > 0.9 * figures.mails


@pytest.mark.material
def test_fewer_than_one_in_a_hundred_of_people_s_mails_is_left_unanswered(material: Path) -> None:
    mails = list(courtesy.files(courtesy.GOOD))
    figures = courtesy.measured(courtesy.stripped(mails), returned=False)
    assert figures.mails > 200
    assert figures.unanswered < 0.01 * figures.mails
    # The one that is: a note of absence, by its words and by its own account.
    direct = courtesy.measured(courtesy.without_list(mails), returned=False)
    assert [kind.category for _, kind in direct.others] == [Category.OUT_OF_OFFICE]
