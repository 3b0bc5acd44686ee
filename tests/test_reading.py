"""Bytes to letter. The mails lie in tests/mails/, what must be read of each beside it."""

from __future__ import annotations

import email
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.letter import Letter
from handlers.markup import to_text
from handlers.parts import Part, parameters, split
from handlers.reading import CellReader, ReadingCaps, read
from smtpd.cell import Cell
from smtpd.errors import Permanent
from smtpd.headers import FIELDS_MAX, TRACE_FIELDS_MAX, scan
from tests.arrivals import arrival, mail
from tests.material import FOLDER, material_files

CAPS = ReadingCaps()
MAILS = sorted((Path(__file__).parent / "mails").glob("*.eml"))

# In these the other parser and we differ, each for a reason.
DIFFER = {
    "malformed/008": "it leaves out the second of two text parts",
    "malformed/016": "an outer boundary inside an inner multipart: it ends that, we do not",
    "malformed/020": "a part with two Content-Type fields: it takes the last, we the first",
    "thirdparty/001": "it joins alternatives",
    "thirdparty/005": "it finds a delimiter in the middle of a line",
}


def letter_of(body: str, content_type: str = "text/plain; charset=utf-8") -> Letter:
    return read(mail(body, extra=f"Content-Type: {content_type}"), CAPS)


@pytest.mark.parametrize("file", MAILS, ids=lambda file: file.stem)
def test_each_mail_is_read_as_it_should_be(file: Path) -> None:
    letter = read(file.read_bytes(), CAPS)
    expected: dict[str, Any] = json.loads(file.with_suffix(".json").read_text("utf-8"))
    never = expected.pop("never", None)
    if never:
        assert never not in letter.body_text
        assert never not in letter.new_text
    attachments = expected.pop("attachments", None)
    if attachments is not None:
        assert len(letter.attachments) == len(attachments)
        for attachment, wanted in zip(letter.attachments, attachments, strict=True):
            assert {name: getattr(attachment, name) for name in wanted} == wanted
    found = {name: getattr(letter, name) for name in expected}
    assert json.loads(json.dumps(found)) == expected


def test_every_mail_has_its_expectation_and_none_is_left_over() -> None:
    names = {file.stem for file in MAILS}
    assert len(names) > 40
    assert names == {file.stem for file in MAILS[0].parent.glob("*.json")}


@given(st.binary(max_size=2000))
def test_no_bytes_make_reading_raise(raw: bytes) -> None:
    storable(read(raw, CAPS))


PIECES = (
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: text/html\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Disposition: attachment; filename=x\r\n",
    b"From: a@b.example\r\n",
    b"In-Reply-To: <a@b.example>\r\n",
    b"\r\n",
    b"--b\r\n",
    b"--b--\r\n",
    b"<p style='display:none'>x",
    b"<blockquote>",
    b"=?utf-8?q?",
    b"On 1.1.2026 10:00 a wrote:\r\n",
    b"> quoted\r\n",
    b"-- \r\n",
    b"\xff\x00",
)


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_no_puzzle_of_real_pieces_makes_reading_raise(pieces: list[bytes]) -> None:
    storable(read(b"".join(pieces), CAPS))


def storable(letter: Letter) -> None:
    """A database takes it: no NUL, no lone surrogate, and nothing beyond the caps."""
    texts = [
        letter.subject,
        letter.sender_name,
        letter.body_text,
        letter.body_html,
        letter.new_text,
    ]
    for attachment in letter.attachments:
        texts += [attachment.filename, attachment.text]
    for text in texts:
        assert "\x00" not in text
        text.encode("utf-8")
    assert len(letter.body_text) <= CAPS.text_chars
    assert bool(letter.new_text.strip()) == bool(letter.body_text.strip())


def test_a_long_text_is_cut_at_the_cap() -> None:
    assert len(letter_of("x " * 100_000).body_text) == CAPS.text_chars


def test_attachments_share_what_is_left_of_the_text() -> None:
    parts = "".join(
        f"--b\nContent-Type: text/plain; name=f{number}.txt\n\n{'y' * 40_000}\n"
        for number in range(3)
    )
    first, second, third = letter_of(f"{parts}--b--", "multipart/mixed; boundary=b").attachments
    assert (len(first.text), first.what_was_read, first.because) == (40_000, "all", "")
    assert second.what_was_read == f"the first {CAPS.text_chars - 40_000} characters"
    assert second.because
    assert (third.text, third.what_was_read) == ("", "nothing")
    assert first.size == third.size == 40_000


def test_an_attachment_over_its_limit_is_listed_but_not_read() -> None:
    raw = mail(
        "--b\nContent-Type: text/plain; name=f.txt\n\n" + "y" * 2000 + "\n--b--",
        extra="Content-Type: multipart/mixed; boundary=b",
    )
    (small,) = read(raw, ReadingCaps(attachment_bytes=2000)).attachments
    (large,) = read(raw, ReadingCaps(attachment_bytes=1999)).attachments
    assert (small.what_was_read, large.what_was_read) == ("all", "nothing")
    assert "MAX_ATTACHMENT_SIZE" in large.because
    assert small.sha256 == large.sha256


def test_more_header_fields_than_the_door_takes_are_refused() -> None:
    with pytest.raises(Permanent):
        read(b"A: b\r\n" * (FIELDS_MAX + TRACE_FIELDS_MAX + 1) + b"\r\n", CAPS)


def test_a_page_nested_beyond_reason_still_gives_its_text() -> None:
    deep = "<div>" * 1500 + "down here" + "</div>" * 1500 + "<p>end</p>"
    assert to_text(deep).split() == ["down", "here", "end"]
    hidden = deep.replace("<div>", "<div style='display:none'>", 1)
    assert to_text(hidden) == "end"


def test_quotes_of_a_page_are_marked_as_in_plain_text() -> None:
    page = "<p>a</p><blockquote>b<br>c<blockquote>d</blockquote></blockquote><p>e</p>"
    assert to_text(page).replace("\n\n", "\n") == "a\n> b\n> c\n> > d\ne"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('text/plain; charset="utf-8"; X=1', {"charset": "utf-8", "x": "1"}),
        ("a/b; name=a b", {"name": "a"}),
        (r'a/b; name="q\"q;x=1"', {"name": 'q"q;x=1'}),
        ('a/b; name="open', {"name": "open"}),
        ("a/b; n*1=b; n*0=a; n*10=d; n*2=c", {"n": "abcd"}),
        ("a/b; n*=utf-8'fr'caf%C3%A9", {"n": "café"}),
        ("a/b; n*=broken%ZZ", {"n": "broken%ZZ"}),
        (";;;;= ;=x; ;", {}),
    ],
)
def test_parameters_are_read(value: str, expected: dict[str, str]) -> None:
    assert parameters(value) == expected


def test_eight_kilobytes_of_parameters_are_read_in_one_pass() -> None:
    for piece in (";", "; a", "; a*", '; a="', "; a=b", "; a*0*=%", ';a="\\'):
        parameters("a/b" + piece * (200_000 // len(piece)))


@pytest.fixture
async def reader() -> AsyncIterator[CellReader]:
    cell = Cell(1, timeout_s=20, memory_bytes=536_870_912, preload=("handlers.reading",))
    await cell.start()
    yield CellReader(cell, CAPS)
    await cell.stop()


async def test_the_cell_reads_as_we_would(reader: CellReader) -> None:
    for file in MAILS:
        raw = file.read_bytes()
        assert await reader.read(arrival(raw)) == read(raw, CAPS)


async def test_a_mail_the_door_could_not_have_taken_ends_in_the_reader_s_words(
    reader: CellReader,
) -> None:
    taken = arrival()
    object.__setattr__(taken, "raw", b"A: b\r\n" * (FIELDS_MAX + TRACE_FIELDS_MAX + 1))
    with pytest.raises(Permanent, match="header section"):
        await reader.read(taken)


# Other people's test data


def whole(raw: bytes) -> Part:
    return split(raw, scan(raw, len(raw)), 1000, 100)


@pytest.mark.material
@pytest.mark.parametrize("file", material_files("mime/*/**/*.[et][mx][lt]"), ids=lambda f: f.stem)
def test_no_mail_of_others_makes_reading_raise(file: Path) -> None:
    storable(read(file.read_bytes(), CAPS))


@pytest.mark.material
def test_mail_of_others_is_split_as_the_standard_library_does(material: Path) -> None:
    compared = 0
    for file in sorted(material.glob("spam/easy-ham-1/*")):
        raw = file.read_bytes()
        message = email.message_from_bytes(raw)
        theirs = [part for part in message.walk() if not part.is_multipart()]
        if any(part.get_content_maintype() == "message" for part in message.walk()):
            continue  # it goes on inside of these
        ours = list(whole(raw).leaves())
        assert [part.content_type for part in ours] == [part.get_content_type() for part in theirs]
        for mine, other in zip(ours, theirs, strict=True):
            payload = other.get_payload(decode=True)
            assert isinstance(payload, bytes)
            assert mine.content().split() == payload.split()
        compared += 1
    assert compared > 250


@pytest.mark.material
@pytest.mark.parametrize(
    "file",
    material_files("mime/mail-parser/*/*.json"),
    ids=lambda file: f"{file.parent.name}/{file.stem}",
)
def test_subject_author_and_text_are_what_another_parser_found(file: Path) -> None:
    letter = read(file.with_suffix(".eml").read_bytes(), CAPS)
    root, *_ = parts = json.loads(file.read_text("utf-8"))["parts"]
    fields = {
        field["name"]: field["value"]
        for field in reversed(root["headers"])
        if isinstance(field["name"], str) and isinstance(field["value"], dict)
    }
    if "Text" in fields.get("subject", {}):
        assert alike(fields["subject"]["Text"], letter.subject)
    authors = fields.get("from", {}).get("Address", {}).get("List") or []
    if len(authors) == 1 and "@" in (authors[0]["address"] or ""):
        assert letter.sender == authors[0]["address"]
    if f"{file.parent.name}/{file.stem}" in DIFFER:
        return
    listed = json.loads(file.read_text("utf-8"))["text_body"]
    bodies = [parts[number]["body"] for number in listed]
    text = "\n".join(body["Text"] for body in bodies if isinstance(body, dict) and "Text" in body)
    if text.strip():
        assert alike(text, letter.body_text)


def alike(theirs: str, ours: str) -> bool:
    """The same but for white space, and for letters that they could not decode."""
    left, right = "".join(theirs.split()), "".join(ours.split())
    return len(left) == len(right) and all(
        a in (b, "\ufffd") for a, b in zip(left, right, strict=True)
    )


@pytest.mark.material
def test_the_material_is_where_it_is_looked_for(material: Path) -> None:
    assert material == FOLDER
    assert len(material_files("mime/mail-parser/*/*.json")) == 54
