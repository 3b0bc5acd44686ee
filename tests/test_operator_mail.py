"""Mail to the operator as its bytes: readable everywhere, and nobody else's to write in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import NAMES
from handlers.letter import NoticeKind
from handlers.operatormail import Desk, Form, attachment, compose, forms
from handlers.operatorwriting import TEMPLATES, OperatorWriter
from handlers.signing import Signer, load_key
from handlers.store.filed import WHOLE_MAX_BYTES, FiledMail
from handlers.store.notices import News
from tests.keys import new_key_file, published
from tests.operators import DESK, NOON, WRITER, read, text_of

RAW = b"From: a@b.example\r\nSubject: h\r\n\r\nBody\r\n"
TOKEN = "0a" * 16


def news(kind: NoticeKind = NoticeKind.FUSE, text: str = "a fuse blew", number: int = 1) -> News:
    return News(id=number, kind=kind, at=NOON, text=text, email_id=f"01k{number}")


def filed(raw: bytes = RAW, size_bytes: int = 0) -> FiledMail:
    return FiledMail(to=("abuse",), raw=raw, size_bytes=size_bytes or len(raw))


def passed_on(raw: bytes) -> bytes:
    mail = filed(raw)
    return WRITER.filed(news(NoticeKind.FILED), mail, forms(mail)[0], "", NOON).raw


def test_the_envelope_and_the_fields_are_those_of_a_notice() -> None:
    sent = WRITER.notices([news()], [], NOON)
    assert (sent.mail_from, sent.rcpt_to) == ("", "me@else.example")
    parsed = read(sent)
    named = re.fullmatch(r"<notice\.[0-9a-f]{32}@us\.example>", str(parsed["Message-ID"]))
    assert named
    assert named[0] == sent.message_id
    assert dict(parsed.items()) | {"Message-ID": ""} == {
        "From": "AnswerMX <ai@us.example>",
        "To": "me@else.example",
        "Subject": "[us.example] A fuse blew",
        "Date": "Mon, 23 Nov 2026 12:00:00 +0000",
        "Message-ID": "",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "MIME-Version": "1.0",
        "Content-Type": 'text/plain; charset="us-ascii"',
        "Content-Transfer-Encoding": "7bit",
    }


# A digest has a template of its own.
@pytest.mark.parametrize("kind", [kind for kind in NoticeKind if kind is not NoticeKind.DIGEST])
def test_every_kind_has_words_and_says_what_to_do(kind: NoticeKind) -> None:
    urgent, named = ([], [news(kind)]) if kind is NoticeKind.FILED else ([news(kind)], [])
    text = text_of(read(WRITER.notices(urgent, named, NOON)))
    assert "2026-11-23 12:00 UTC" in text
    assert re.search(r"server\.py \w+", text)
    assert f"\n{kind.upper()}\n" not in text  # the words of a kind that has none


@pytest.mark.parametrize(
    ("told", "subject"),
    [
        (
            [news(text="Sending was stopped. Nothing leaves.")],
            "Sending was stopped. Nothing leaves",
        ),
        ([news(text="the relay is away: refused")], "The relay is away"),
        ([news(), news(NoticeKind.PARKED)], "1 fuse blew, 1 mail parked"),
        ([news(kind) for kind in (NoticeKind.DOWN,) * 2], "2 reports of a neighbour away or back"),
        ([news(text="x" * 300)], "..."),
    ],
)
def test_the_subject_says_what_happened(told: list[News], subject: str) -> None:
    assert read(WRITER.notices(told, [], NOON))["Subject"] == f"[us.example] {subject}"


def test_a_notice_cannot_add_a_field_or_a_line() -> None:
    hostile = "a fuse\r\nBcc: x@y.example\r\n\r\n<script>\n.\n\x00\x1b[0m\u202e"
    parsed = read(WRITER.notices([news(text=hostile)], [], NOON))
    assert parsed["Bcc"] is None
    assert "    a fuse Bcc: x@y.example <script> . [0m\n" in text_of(parsed)
    assert "\x1b" not in text_of(parsed)


@given(st.text(), st.text())
def test_whatever_is_told_becomes_mail(subject: str, text: str) -> None:
    raw = compose(DESK, subject, text, now=NOON, token=TOKEN)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert raw.replace(b"\r\n", b"").count(b"\n") == raw.replace(b"\r\n", b"").count(b"\r") == 0


# What is attached


def test_a_filed_mail_is_attached_as_a_message_and_intact() -> None:
    raw = "From: a@b.example\r\nSubject: déjà\r\n\r\nÀ vous \t \r\n".encode()
    parsed = read(WRITER.filed(news(), filed(raw), Form.MESSAGE, "", NOON))
    assert parsed.get_content_type() == "multipart/mixed"
    [attached] = parsed.iter_attachments()
    assert attached.get_content_type() == "message/rfc822"
    assert attached["Content-Transfer-Encoding"] == "8bit"
    assert attached.get_filename() == "01k1.eml"
    assert raw in passed_on(raw)


BODIES = st.lists(
    st.binary(max_size=90).filter(lambda line: b"\r" not in line and b"\n" not in line)
)


@given(BODIES, st.booleans())
def test_every_octet_comes_as_it_was(lines: list[bytes], ends: bool) -> None:
    raw = b"Subject: x\r\n\r\n" + b"\r\n".join(lines) + b"\r\n" * ends
    whole = passed_on(raw)
    boundary = re.search(rb'boundary="([^"]+)"', whole)
    assert boundary
    parts = whole.split(b"\r\n--" + boundary[1])
    assert len(parts) == 4
    head, _, content = parts[2].partition(b"\r\n\r\n")
    if b"message/rfc822" in head:
        assert content == raw
    else:
        assert b"\0" in raw


@pytest.mark.parametrize(
    ("raw", "expected", "encoding"),
    [
        (RAW, Form.MESSAGE, b"7bit"),
        (RAW + "é\r\n".encode(), Form.MESSAGE, b"8bit"),
        (RAW + b"x" * 998 + b"\r\n", Form.MESSAGE, b"7bit"),
        (RAW + b"x" * 999 + b"\r\n", Form.FILE, b"base64"),
        (RAW + b"\0\r\n", Form.FILE, b"base64"),
    ],
)
def test_a_message_is_sent_as_itself_where_that_can_be_sent(
    raw: bytes, expected: Form, encoding: bytes
) -> None:
    assert forms(filed(raw))[0] is expected
    part = b"".join(attachment(filed(raw), expected, "01"))
    assert b"Content-Transfer-Encoding: " + encoding in part


def test_a_file_decodes_to_the_mail() -> None:
    raw = RAW + b"x" * 5000 + "é".encode()
    [attached] = read(WRITER.filed(news(), filed(raw), Form.FILE, "", NOON)).iter_attachments()
    assert attached.get_content() == raw
    assert attached.get_content_type() == "application/octet-stream"


@pytest.mark.parametrize("head", [b"Subject: x\r\n\r\n", "Subject: é\r\n\r\n".encode()])
def test_of_a_large_mail_the_header_section_is_attached(head: bytes) -> None:
    mail = filed(head, WHOLE_MAX_BYTES + 1)
    assert forms(mail)[0] is Form.HEADER
    sent = WRITER.filed(news(), mail, Form.HEADER, "", NOON)
    [attached] = read(sent).iter_attachments()
    assert attached.get_content_type() == "text/rfc822-headers"
    assert attached.get_payload(decode=True) == head
    assert sent.raw.isascii()


def test_a_boundary_is_none_that_stands_in_the_mail() -> None:
    raw = RAW + f"--=_{TOKEN}--\r\n--=_{TOKEN}_\r\n".encode()
    whole = compose(
        DESK, "x", "y", attachment(filed(raw), Form.MESSAGE, "1"), now=NOON, token=TOKEN
    )
    assert f'boundary="=_{TOKEN}__"'.encode() in whole


# Signed, and from templates


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_key_file(tmp_path_factory.mktemp("keys") / "default.pem")


def test_a_passed_on_mail_is_signed_over_a_strangers_lines(key_file: Path) -> None:
    key = load_key(key_file)
    raw = RAW + b"\r\n".join((b" " * 900 + b"x", b"\t \t", "é ".encode() * 300, b"", b"", b""))
    writer = OperatorWriter(DESK, Signer("us.example", "default", key))
    sent = writer.filed(news(), filed(raw), Form.MESSAGE, "", NOON.replace(year=2025))
    assert raw in sent.raw
    assert dkim.verify(sent.raw, dnsfunc=lambda *_, **__: published(key).encode())
    assert not dkim.verify(
        sent.raw.replace(b"Body", b"body"), dnsfunc=lambda *_, **__: published(key).encode()
    )


def copies(folder: Path) -> Iterator[Path]:
    for template in TEMPLATES.glob("*.j2"):
        (folder / template.name).write_text(template.read_text())
        yield folder / template.name


@pytest.mark.parametrize("mistake", ["{{ nothing }}", "{% if %}", "{{ domain.__class__.mro() }}"])
def test_a_broken_template_stops_the_start(tmp_path: Path, mistake: str) -> None:
    for template in list(copies(tmp_path)):
        right = template.read_text()
        template.write_text(right + mistake)
        with pytest.raises(ValueError, match="cannot be used"):
            OperatorWriter(DESK, None, tmp_path)
        template.write_text(right)
    OperatorWriter(DESK, None, tmp_path)


def test_a_missing_template_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"notices\.txt\.j2|TemplateNotFound"):
        OperatorWriter(DESK, None, tmp_path)


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.j2")), ids=lambda path: path.name)
def test_every_setting_a_template_names_exists(template: Path) -> None:
    named = re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", template.read_text())
    assert set(named) - set(NAMES) == set()


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no address"):
        Desk(address="ai@us.example", domain="us.example", operator="me\r\n@else.example")
