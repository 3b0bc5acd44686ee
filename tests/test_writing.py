"""The reply's bytes: what a mail program shows, and what a stranger's text cannot do to them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given
from hypothesis import strategies as st

from handlers import encoding, writing
from handlers.letter import Letter, Record
from handlers.signing import Signer
from handlers.writing import Frame, Letterhead, ReplyWriter
from smtpd.decoding import one_line
from smtpd.errors import Permanent
from smtpd.returnpath import ticket_of
from tests.keys import published
from tests.letters import a_letter, a_record, an_answer

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
TOKEN = "0123456789abcdef" * 2
KEY = b"k" * 32
LETTERHEAD = Letterhead(
    name="Assistant IA Code du Travail",
    address="ai@us.example",
    domain="us.example",
    person_address="postmaster@us.example",
)
FRAME = Frame(writing.TEMPLATES / "fr")


def compose(
    letter: Letter | None = None,
    text: str = "Oui.",
    record: Record | None = None,
    letterhead: Letterhead = LETTERHEAD,
    **answer: Any,
) -> bytes:
    return writing.compose(
        record or a_record(),
        letter or a_letter(),
        an_answer(text, **answer),
        letterhead,
        FRAME,
        now=NOW,
        token=TOKEN,
    )


def read(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def shown(raw: bytes, kind: str) -> str:
    part = read(raw).get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content.replace("\r\n", "\n")


def test_the_header_section_is_what_a_reply_needs() -> None:
    letter = a_letter(references=("<q0@client.example>",))
    head = compose(letter).partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head == [
        "From: Assistant IA Code du Travail <ai@us.example>",
        "To: Camille Renard <camille@client.example>",
        "Subject: Re: Mes droits",
        "Date: Mon, 23 Nov 2026 10:00:00 +0000",
        f"Message-ID: <{TOKEN}@us.example>",
        "In-Reply-To: <q1@client.example>",
        "References: <q0@client.example> <q1@client.example>",
        "Auto-Submitted: auto-replied",
        "X-Auto-Response-Suppress: DR, RN, NRN, OOF, AutoReply",
        "X-AI-Generated: yes",
        "Content-Language: fr",
        "MIME-Version: 1.0",
        "Content-Type: multipart/alternative;",
        f' boundary="=_{TOKEN}"',
    ]


def test_html_and_text_say_the_same_and_name_the_machine_that_wrote_them() -> None:
    raw = compose(text="Vous avez **cinq** semaines.")
    assert "<p>Vous avez <strong>cinq</strong> semaines.</p>" in shown(raw, "html")
    assert "\nVous avez cinq semaines.\n" in shown(raw, "plain")
    for kind in ("html", "plain"):
        words = " ".join(re.sub(r"<[^>]*>", "", shown(raw, kind)).split())
        assert "rédigée par une intelligence artificielle" in words
        assert "Pour joindre une personne, écrivez à postmaster@us.example." in words
        assert "Pour les faire effacer, écrivez à la même adresse." in words
        assert "Combien de jours de congé ai-je par an ?" in words


def test_the_default_template_is_the_specified_one_with_lines_added() -> None:
    template = (writing.TEMPLATES / "fr" / "reply.html.j2").read_text()
    specified = (Path(__file__).parent / "replies" / "specified.html").read_text()
    assert template.startswith(specified)
    assert template.endswith("    </div>\n</body>\n</html>\n")


def test_an_administrator_s_template_may_use_all_five_variables(tmp_path: Path) -> None:
    variables = ("ai_response", "sender_name", "original_subject", "response_date", "thread_id")
    source = "|".join(f"{{{{ {name} }}}}" for name in variables)
    for name in ("reply.html.j2", "reply.txt.j2"):
        (tmp_path / name).write_text(source)
    letter = a_letter(sender_name="Ann <b>", subject="a & b")
    answer, record = an_answer("*x*"), a_record()
    raw = writing.compose(record, letter, answer, LETTERHEAD, Frame(tmp_path), now=NOW, token=TOKEN)
    assert shown(raw, "html").strip() == (
        "<p><em>x</em></p>\n|Ann &lt;b&gt;|a &amp; b|23/11/2026 10:00 UTC|thread-7"
    )
    assert shown(raw, "plain").strip() == "x|Ann <b>|a & b|23/11/2026 10:00 UTC|thread-7"


@pytest.mark.parametrize(
    "source", ["{{ ai_respones }}", "{{ ", "{{ ''.__class__.__mro__ }}", "{% include 'x' %}"]
)
def test_a_template_that_would_fail_a_mail_stops_the_start(source: str, tmp_path: Path) -> None:
    (tmp_path / "reply.html.j2").write_text(source)
    (tmp_path / "reply.txt.j2").write_text("x")
    with pytest.raises(ValueError, match="cannot be used"):
        Frame(tmp_path)


def test_a_stranger_s_words_are_no_markup_and_no_template() -> None:
    letter = a_letter(new_text="<script>x</script> {{ thread_id }}", sender_name="<i>{{ 7*7 }}")
    html = shown(compose(letter, text="{{ 7*7 }} {% raw %} <script>y</script>"), "html")
    assert "<script" not in html
    assert "<i>" not in html
    assert html.count("{{ 7*7 }}") == 2
    assert "{{ thread_id }}" in html


def test_no_character_comes_in_by_its_number() -> None:
    raw = compose(text="Oui&#13;non &#x202e;txt.exe &#12; &#xad;")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    for kind in ("plain", "html"):
        assert not {"\u202e", "\x0c", "\xad"} & set(shown(raw, kind))


@pytest.mark.parametrize(
    ("incoming", "suggested", "reply"),
    [
        ("Mes droits", "Re: Vos droits", "Re: Mes droits"),
        ("Re: Mes droits", "", "Re: Mes droits"),
        ("RE: re : AW: Antw: TR: Fwd: SV: Mes droits", "", "Re: Mes droits"),
        ("Re[2]: RE(3): Mes\uff1a droits", "", "Re: Mes\uff1a droits"),
        ("Rebelle: question", "", "Re: Rebelle: question"),
        ("  Mes \t\r\n droits ", "", "Re: Mes droits"),
        ("", "Re: Vos droits", "Re: Vos droits"),
        ("Re:", "", "Re:"),
        ("", "", "Re:"),
        ("=?utf-8?q?=41?= x", "", "Re: =?utf-8?q?=41?= x"),
        ("x" * 5000, "", "Re: " + "x" * 200),
    ],
)
def test_the_subject_is_the_incoming_one_with_one_prefix(
    incoming: str, suggested: str, reply: str
) -> None:
    assert writing.subject(incoming, suggested) == reply
    raw = compose(a_letter(subject=incoming), suggested_subject=suggested)
    assert read(raw)["Subject"] == reply


def test_references_keep_the_first_and_the_newest_and_end_with_the_answered_mail() -> None:
    ids = tuple(f"<{n}@x>" for n in range(50))
    kept = writing.references(a_letter(references=ids, message_id="<q@x>"))
    assert len(kept) == writing.REFERENCES_MAX
    assert kept[:2] == ("<0@x>", "<32@x>")
    assert kept[-2:] == ("<49@x>", "<q@x>")
    assert writing.references(a_letter(references=("<q@x>", "<a@x>"), message_id="<q@x>")) == (
        "<a@x>",
        "<q@x>",
    )


def test_without_a_usable_message_id_there_is_no_thread_to_name() -> None:
    message = read(compose(a_letter(message_id="", references=("no id", "<a b@x>"))))
    assert message["In-Reply-To"] is None
    assert message["References"] is None


def test_a_name_that_shows_another_address_is_left_out() -> None:
    letter = a_letter(sender_name="ceo@bank.example")
    assert b"\r\nTo: camille@client.example\r\n" in compose(letter)


def test_a_reply_to_another_address_does_not_carry_the_sender_s_name() -> None:
    assert b"\r\nTo: other@client.example\r\n" in compose(record=a_record("other@client.example"))


def test_a_long_question_is_repeated_in_part() -> None:
    assert len(writing.quoted("ligne\n" * 100)) == writing.QUOTED_LINES + 1
    lines = writing.quoted("x" * 10_000)
    assert lines == ("x" * writing.QUOTED_CHARACTERS, "[…]")
    assert writing.quoted(" \n ") == ()
    assert writing.quoted("a\r\nb  \n") == ("a", "b")


def test_without_a_question_nothing_is_quoted() -> None:
    raw = compose(a_letter(new_text=""))
    assert "<blockquote" not in shown(raw, "html")
    assert "Camille Renard :" not in shown(raw, "plain")


def test_a_mail_without_an_author_has_no_reply() -> None:
    with pytest.raises(Permanent):
        compose(record=a_record("a@x, b@y"))


@pytest.mark.parametrize("word", ["a\r\nBcc: x@y", "a\nb", "é", "\x00", "a\x7f", "\u2028"])
def test_no_word_that_could_end_a_field_is_written(word: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        encoding.field("Subject", word)


@pytest.mark.parametrize(
    "wrong", [{"address": "ai"}, {"domain": "us example"}, {"person_address": "a@b\r\nBcc: c@d"}]
)
def test_a_letterhead_nobody_can_write_from_stops_the_start(wrong: dict[str, Any]) -> None:
    right = {"name": "AI", "address": "a@b.example", "domain": "b.example"}
    with pytest.raises(ValueError, match="no address to write from"):
        Letterhead(**{"person_address": "p@b.example", **right, **wrong})


EXPECTED = [
    *("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References"),
    *("Auto-Submitted", "X-Auto-Response-Suppress", "X-AI-Generated", "Content-Language"),
    *("MIME-Version", "Content-Type"),
]
_hostile = st.text(max_size=80) | st.lists(
    st.sampled_from(
        [
            "\r\n",
            "\n",
            "\r",
            "\x00",
            "\x0b",
            "\x85",
            "\u2028",
            "\ud800",
            "Bcc: x@y.example",
            ": ",
            "=?utf-8?q?=0D=0ABcc:_x?=",
            "=?",
            "?=",
            '"',
            "\\",
            "<",
            ">",
            "@",
            ",",
            ";",
            "(",
            " ",
            "é",
            "日本",
            "\U0001f600",
            "a" * 90,
            "--",
            "=_" + TOKEN,
            ".",
            "From ",
            "\t",
        ]
    ),
    max_size=12,
).map("".join)


@given(
    subject=_hostile,
    suggested=_hostile,
    name=_hostile,
    message_id=_hostile | st.just("<q@x>"),
    references=st.lists(_hostile | st.just("<r@x>"), max_size=4).map(tuple),
    text=_hostile,
    question=_hostile,
)
@example("x\r\nBcc: y@z", "", "N\r\nBcc: y@z", "<a\r\nBcc:y@z>", ("<a\nb>",), ".\r\nQUIT", "\r\n.")
def test_whatever_strangers_write_the_reply_has_its_fields_and_no_other(
    subject: str,
    suggested: str,
    name: str,
    message_id: str,
    references: tuple[str, ...],
    text: str,
    question: str,
) -> None:
    letter = a_letter(
        subject=subject,
        sender_name=name,
        message_id=message_id,
        references=references,
        new_text=question,
    )
    raw = compose(letter, text, suggested_subject=suggested)
    assert raw.isascii()
    assert b"\x00" not in raw
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", raw)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert all(len(line) <= 78 or b" " not in line.strip() for line in head.split(b"\r\n"))
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
    message = read(raw)
    optional = {"In-Reply-To", "References"} - set(message.keys())
    assert message.keys() == [field for field in EXPECTED if field not in optional]
    assert message["Subject"] == writing.subject(subject, suggested)
    assert [address for _, address in getaddresses([message["To"]])] == ["camille@client.example"]
    assert not message.defects
    parts = list(message.iter_parts())
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
    assert not any(part.defects for part in parts)


@given(_hostile)
@example("=?utf-8?q?=41?=")
@example('A "quoted" \\ name')
@example("Renard, Camille")
@example("x" * encoding.NAME_MAX + " y")
def test_every_name_is_shown_as_it_was_or_not_at_all(name: str) -> None:
    wanted = one_line(name, 1000)
    to = message_from_bytes(compose(a_letter(sender_name=name)))["To"].replace("\r\n", "")
    # Read as RFC 2047 says; the newer reader shows the space between two encoded words.
    box = str(make_header(decode_header(to))).removesuffix("camille@client.example")
    if box:
        assert box.removesuffix(" <camille@client.example>").strip('"') == wanted.strip('"')
    else:
        assert not wanted or "@" in wanted or len(wanted) > encoding.NAME_MAX


@pytest.mark.parametrize(
    ("text", "encodings"),
    [
        ("Bonjour.", ["quoted-printable", "quoted-printable"]),
        ("日本語の長い答えです。" * 40, ["base64", "base64"]),
    ],
)
def test_the_shorter_encoding_is_taken(text: str, encodings: list[str]) -> None:
    message = read(compose(text=text))
    assert [part["Content-Transfer-Encoding"] for part in message.iter_parts()] == encodings
    assert text in shown(compose(text=text), "plain")


def test_plain_ascii_is_sent_as_it_stands(tmp_path: Path) -> None:
    for name in ("reply.html.j2", "reply.txt.j2"):
        (tmp_path / name).write_text("{{ ai_response }}")
    answer = an_answer("Hello")
    raw = writing.compose(
        a_record(), a_letter(), answer, LETTERHEAD, Frame(tmp_path), now=NOW, token=TOKEN
    )
    assert b"charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\nHello\r\n" in raw


def a_writer(**options: Any) -> ReplyWriter:
    return ReplyWriter(LETTERHEAD, **{"signer": None, "mail_from": "token", "key": KEY, **options})


@pytest.mark.parametrize(("policy_", "mail_from"), [("plain", "ai@us.example"), ("null", "")])
async def test_the_envelope_sender_is_as_configured(policy_: str, mail_from: str) -> None:
    outgoing = await a_writer(mail_from=policy_).write(a_record(), a_letter(), an_answer())
    assert (outgoing.mail_from, outgoing.rcpt_to) == (mail_from, "camille@client.example")


async def test_by_default_a_bounce_comes_back_to_its_ticket() -> None:
    outgoing = await a_writer().write(a_record(), a_letter(), an_answer())
    assert ticket_of(outgoing.mail_from, KEY, "us.example") == "01hzyticket"


async def test_every_reply_has_a_message_id_nobody_can_guess() -> None:
    writer = a_writer()
    replies = [await writer.write(a_record(), a_letter(), an_answer()) for _ in range(2)]
    first, second = (reply.message_id for reply in replies)
    assert first != second
    assert re.fullmatch(r"<[0-9a-f]{32}@us\.example>", first)
    assert read(replies[0].raw)["Message-ID"] == first
    assert b"DKIM-Signature" not in replies[0].raw


async def test_a_written_reply_is_signed_and_verifies() -> None:
    key = rsa.generate_private_key(65537, 2048)
    signer = Signer("us.example", "default", key)
    letter = a_letter(subject="Été " * 30, references=tuple(f"<{n}@x>" for n in range(30)))
    outgoing = await a_writer(signer=signer).write(a_record(), letter, an_answer("é\n\n " * 50))
    record = published(key).encode()
    assert dkim.DKIM(outgoing.raw).verify(dnsfunc=lambda name, timeout=5: record)
    assert read(outgoing.raw).keys()[0] == "DKIM-Signature"
