"""New text, quotes and signatures. The rule: never lose the writer's own words."""
# ruff: noqa: RUF001 (the letters of other languages look like Latin ones)

from __future__ import annotations

import re
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.quoting import TEXT_MAX, is_reply, new_text
from handlers.reading import ReadingCaps, read
from tests.material import material_files

MARKED = "> What was asked.\n> In two lines.\n"
UNMARKED = "What was asked.\n\nIn two lines.\n"

# One line (or two) that introduces a quote, as the mail programs of each language write it.
ATTRIBUTIONS = {
    "en": "On Mon, 23 Nov 2026 at 10:12, Ada Byron <ada@example.org> wrote:",
    "en, two lines": "On Mon, Nov 23, 2026 at 10:12 AM Ada Byron\n<ada@example.org> wrote:",
    "en, Thunderbird": "On 11/23/26 10:12, Ada Byron wrote:",
    "fr": "Le lun. 23 nov. 2026 à 10:12, Ada Byron <ada@example.org> a écrit :",
    "fr, Apple": "Le 23 nov. 2026 à 10:12, Ada Byron <ada@example.org> a écrit :",
    "de": "Am Mo., 23. Nov. 2026 um 10:12 Uhr schrieb Ada Byron <ada@example.org>:",
    "de, Thunderbird": "Am 23.11.26 um 10:12 schrieb Ada Byron:",
    "es": "El lun, 23 nov 2026 a las 10:12, Ada Byron (<ada@example.org>) escribió:",
    "pt": "Em seg., 23 de nov. de 2026 às 10:12, Ada Byron <ada@example.org> escreveu:",
    "it": "Il giorno lun 23 nov 2026 alle ore 10:12 Ada <ada@example.org> ha scritto:",
    "nl": "Op ma 23 nov 2026 om 10:12 schreef Ada Byron <ada@example.org>:",
    "sv": "Den mån 23 nov. 2026 kl 10:12 skrev Ada Byron <ada@example.org>:",
    "da": "Den man. 23. nov. 2026 kl. 10.12 skrev Ada Byron <ada@example.org>:",
    "no": "På mandag 23. nov. 2026 kl. 10:12 skrev Ada Byron <ada@example.org>:",
    "fi": "ma 23.11.2026 klo 10.12 Ada Byron (ada@example.org) kirjoitti:",
    "pl": "pon., 23 lis 2026 o 10:12 Ada Byron <ada@example.org> napisał(a):",
    "cs": "Dne po 23. 11. 2026 v 10:12 Ada Byron <ada@example.org> napsal:",
    "ru": "пн, 23 нояб. 2026 г. в 10:12, Ada Byron <ada@example.org> писал(а):",
    "tr": "Ada Byron <ada@example.org>, 23 Kas 2026 Pzt, 10:12 tarihinde şunu yazdı:",
    "ja": "2026年11月23日(月) 10:12 Ada Byron <ada@example.org>:",
    "zh": "Ada Byron <ada@example.org> 于2026年11月23日周一 10:12写道：",
    "ko": "2026년 11월 23일 (월) 오전 10:12, Ada Byron <ada@example.org>님이 작성:",
    "a date only": "2026-11-23 10:12 GMT+01:00 Ada Byron <ada@example.org>:",
}

# Another mail, repeated whole without marks.
HEADER_BLOCKS = {
    "en": "From: Ada <ada@example.org>\nSent: Monday, 23 November 2026 10:12\nTo: ai\nSubject: x\n",
    "en, bold": "*From:* Ada\n*Sent:* Monday, 23 November 2026 10:12\n*To:* ai\n*Subject:* x\n",
    "fr": "De : Ada\nEnvoyé : lundi 23 novembre 2026 10:12\nÀ : ai\nObjet : x\n",
    "de": "Von: Ada\nGesendet: Montag, 23. November 2026 10:12\nAn: ai\nBetreff: x\n",
    "es": "De: Ada\nEnviado el: lunes, 23 de noviembre de 2026 10:12\nPara: ai\nAsunto: x\n",
    "it": "Da: Ada\nInviato: lunedì 23 novembre 2026 10:12\nA: ai\nOggetto: x\n",
    "pt": "De: Ada\nEnviada em: segunda, 23 de novembro de 2026 10:12\nPara: ai\nAssunto: x\n",
    "nl": "Van: Ada\nVerzonden: maandag 23 november 2026 10:12\nAan: ai\nOnderwerp: x\n",
    "ru": "От: Ada\nОтправлено: 23 ноября 2026 г. 10:12\nКому: ai\nТема: x\n",
    "a line above": "________________________________\nFrom: Ada\nSent: today\nTo: ai\n",
    "hyphens": "-----Original Message-----\nFrom: Ada\n",
    "German hyphens": "-----Ursprüngliche Nachricht-----\nVon: Ada\n",
    "French hyphens": "----- Message d'origine -----\nDe : Ada\n",
}


@pytest.mark.parametrize("attribution", ATTRIBUTIONS.values(), ids=ATTRIBUTIONS)
@pytest.mark.parametrize("quote", [MARKED, f"\n{MARKED}", UNMARKED], ids=["", "blank", "unmarked"])
def test_the_quote_below_is_removed(attribution: str, quote: str) -> None:
    assert new_text(f"My answer.\n\n{attribution}\n{quote}") == "My answer."


@pytest.mark.parametrize("block", HEADER_BLOCKS.values(), ids=HEADER_BLOCKS)
def test_a_mail_repeated_whole_is_removed(block: str) -> None:
    assert new_text(f"My answer.\n\n{block}\nWhat was asked.\n") == "My answer."


@pytest.mark.parametrize("text", [f"{a}\n{MARKED}" for a in ATTRIBUTIONS.values()])
def test_nothing_is_removed_where_nothing_would_be_left(text: str) -> None:
    assert new_text(text) == text.strip()


def test_answers_between_the_lines_keep_their_questions() -> None:
    inline = (
        f"Hello,\n\n{ATTRIBUTIONS['en']}\n> How old?\n\nForty.\n\n> Since when?\n\nTen years.\n"
    )
    assert new_text(f"{inline}\n> Thank you\n> Ada\n").startswith(inline.strip())
    assert new_text(inline) == inline.strip()


def test_an_answer_below_its_quote_keeps_it() -> None:
    text = f"{ATTRIBUTIONS['de']}\n{MARKED}\nMy answer."
    assert new_text(f"{text}\n\n-- \nAda\n") == text


@pytest.mark.parametrize(
    "above", ["See below.", "My answers in red.", "Réponses ci-dessous", "Antworten siehe unten"]
)
def test_answers_announced_below_are_not_cut(above: str) -> None:
    text = f"{above}\n\n{HEADER_BLOCKS['en']}\nHow old? Forty."
    assert new_text(text) == text


@pytest.mark.parametrize(
    "mark",
    ["---------- Forwarded message ---------", "Begin forwarded message:",
     "-------- Weitergeleitete Nachricht --------", "---------- Message transféré ----------"],
)  # fmt: skip
@pytest.mark.parametrize("quoted", ["", "> "])
def test_a_forwarded_mail_is_what_the_writer_asks_about(mark: str, quoted: str) -> None:
    block = "".join(f"{quoted}{line}\n" for line in HEADER_BLOCKS["en"].splitlines())
    text = f"Is that legal?\n\n{mark}\n\n{block}\n{quoted}You are dismissed."
    assert new_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Please explain:\n> Art. L1234: notice is two months.",
        "From: the beginning\nI was happy there.",
        "A > B\nB > C\nSo A > C?",
        "On Monday I wrote:\nplease pay me. They did not.",
        "Le 3 mai, mon chef m'a écrit :\nVous êtes licencié.",
        "He wrote at 10:12:\nyou are dismissed.",
        "The list:\n--\nmilk" + "\nmore" * 20,
        "Sent from my desk, is much easier than my telephone.",
        "Envoyé de mon bureau, mais pas de mon téléphone.",
        "On 3 May 2026 at 10:12 I came home.\nThere was a letter:\nyou are dismissed.",
        "De: 8 h\nA: 17 h\nPause: midi",
        "On Tuesday at 10:12 my boss wrote:\nyou are dismissed.",
        "Explain this\n--\n> Art. L1234: notice is two months.",
    ],
)
@pytest.mark.parametrize("above", ["", "Good morning,\n\n"], ids=["first", "second"])
def test_the_writer_s_own_words_are_kept(text: str, above: str) -> None:
    assert new_text(f"{above}{text}") == f"{above}{text}"


@pytest.mark.parametrize(
    "signature",
    ["-- \nAda Byron\n+44 20 7946 0000", "--\nAda", "Sent from my iPhone", "Envoyé de mon iPhone",
     "Von meinem iPhone gesendet", "Enviado desde mi iPhone", "Inviato da iPhone",
     "Verstuurd vanaf mijn iPhone", "Отправлено с iPhone", "iPhoneから送信",
     "Get Outlook for Android<https://aka.ms/x>", "Sent from Yahoo Mail on Android"],
)  # fmt: skip
def test_a_signature_is_removed_above_and_below_the_quote(signature: str) -> None:
    quote = f"{ATTRIBUTIONS['en']}\n{MARKED}"
    assert new_text(f"My answer.\n\n{signature}\n") == "My answer."
    assert new_text(f"My answer.\n\n{signature}\n\n{quote}") == "My answer."
    assert new_text(f"My answer.\n\n{quote}\n{signature}\n") == "My answer."


def test_in_a_mail_that_is_no_reply_only_the_signature_goes() -> None:
    for quote in (f"{ATTRIBUTIONS['en']}\n{MARKED}", f"{HEADER_BLOCKS['en']}\n{UNMARKED}"):
        text = f"What does he mean?\n\n{quote}".strip()
        assert new_text(f"{text}\n\n-- \nAda", reply=False) == text


@pytest.mark.parametrize(
    ("subject", "refers", "reply"),
    [
        ("Re: x", False, True),
        ("AW: x", False, True),
        ("RE[2]: x", False, True),
        ("x", True, True),
        ("x", False, False),
        ("Reorganisation: x", False, False),
        ("Fwd: x", True, False),
        ("TR : x", True, False),
        ("WG: AW: x", True, False),
        ("Re: Fwd: x", True, False),
        ("", False, False),
    ],
)
def test_a_reply_is_told_by_its_subject_or_its_references(
    subject: str, refers: bool, reply: bool
) -> None:
    assert is_reply(subject, refers) is reply


LINES = st.sampled_from(
    [
        *ATTRIBUTIONS.values(),
        *HEADER_BLOCKS.values(),
        "> quoted",
        ">",
        "",
        "own words",
        "-- ",
        "Ada",
    ]
)


@given(st.lists(LINES, max_size=12))
def test_what_is_kept_was_there_and_is_never_empty(lines: list[str]) -> None:
    text = "\n".join(lines)
    kept = new_text(text)
    assert bool(kept.strip()) == bool(text.strip())
    assert kept in "\n".join(line.rstrip() for line in text.split("\n")) or kept == text.strip("\n")


@given(st.lists(LINES, max_size=6), st.booleans())
def test_the_first_own_words_above_all_quotes_are_never_lost(lines: list[str], reply: bool) -> None:
    assert new_text("\n".join(["My own first line.", *lines]), reply).startswith(
        "My own first line."
    )


HOSTILE = [
    *(" ", "\n", "On ", "On x", "On a 1 2026 10:00 wrote ", "From: a\n", "> ", ">\n", "-- \n"),
    *("__", "-", "a:\n", "1:\n", "On 2026 10:00 a wrote:\n", "@", "a@", "____________\n\n"),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_takes_long(piece: str) -> None:
    start = process_time()
    new_text(piece * (2 * TEXT_MAX // len(piece)))
    # What is quadratic takes minutes at this size.
    assert process_time() - start < 3


# Other people's test data

# The writer's own words in these replies, by their first and last: all must be kept.
OWN = {
    "email_1_1": ("Hi folks", "HTTP API."),
    "email_1_2": ("You can list the keys", "would do it."),
    "email_1_3": ("Oh thanks.", "function would be great."),
    "email_1_4": ("Awesome!", "problem with it."),
    "email_1_5": ("One: Here's what I've got.", "for a while."),
    "email_1_6": ("I get proper rendering as well.", "torch of pixels"),
    "email_1_7": (":+1:", ":+1:"),
    "email_1_8": ("I will reply under this one", "and under this."),
    "email_2_1": ("Outlook with a reply", "Outlook with a reply"),
    "email_2_2": ("Outlook with a reply", "directly above line"),
    "email_2_3": ("Outlook with a reply", "directly above line"),
    "email_bullets": ("test 2", "and another"),
    "email_one_is_not_on": ("Thank", "when I run..."),
    "email_sent_from_my_not_signature": ("Here is", "my mobile phone."),
    "email_sig_delimiter_in_middle_of_line": ("Hi there!", "kthxbai"),
    "greedy_on": ("On your remote host", "is not working."),
    "pathological": ("I think you're", "to a computer."),
    "correct_sig": ("this is an email", "signature."),
    "email_iPhone": ("Here is", "another email"),
}
# Replies whose quote follows or has answers in it: nothing of that is certain enough.
KEPT_WHOLE = {"email_1_2", "email_1_3", "email_1_8", "email_long_quote"}


@pytest.mark.material
@pytest.mark.parametrize("file", material_files("reply/erp/*.txt"), ids=lambda file: file.stem)
def test_the_words_of_others_are_never_lost(file: Path) -> None:
    text = file.read_text("utf-8")
    kept = new_text(text)
    first, last = OWN.get(file.stem, ("", ""))
    assert first in kept
    assert re.sub(r"\s+", " ", last) in re.sub(r"\s+", " ", kept)
    if file.stem in OWN and file.stem not in KEPT_WHOLE:
        assert not re.search(r"^>|^\*?From:", kept, re.MULTILINE)


@pytest.mark.material
@pytest.mark.parametrize(
    "file", material_files("reply/talon/standard_replies/*.eml"), ids=lambda file: file.stem
)
def test_a_common_program_s_reply_leaves_the_reply(file: Path) -> None:
    letter = read(file.read_bytes(), ReadingCaps())
    kept = new_text(letter.body_text)
    assert "Hello" in kept.split()
    # One writes below the quote: that keeps it.
    if file.stem != "thunderbird":
        assert kept == "Hello"
