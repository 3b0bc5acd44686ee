"""Bytes to letter: what a person would read. Pure; runs in the cell only.

Neighbours: smtpd/headers.py and handlers/parts.py find things, handlers/markup.py turns
HTML to text, handlers/quoting.py tells new text from quotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from handlers.attachments import describe
from handlers.letter import Attachment, Letter
from handlers.markup import HTML_MAX, meta_charset, to_text
from handlers.parts import Part, split
from handlers.quoting import is_reply, new_text
from smtpd.cell import Cell
from smtpd.decoding import clean, decode
from smtpd.errors import Permanent
from smtpd.facts import facts
from smtpd.headers import HeadersTooLarge, scan_kept
from smtpd.mail import Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingCaps:
    """How much of a stranger's mail is looked at."""

    parts: int = 200
    depth: int = 20
    text_chars: int = 65_536  # of the body, and of all attachments' text together
    attachment_bytes: int = 10_485_760


@dataclass(frozen=True, slots=True)
class CellReader:
    """Reads every mail in the cell, the small and plain ones too: who knows beforehand?"""

    cell: Cell  # its processes preload this module
    caps: ReadingCaps

    async def read(self, arrival: Arrival) -> Letter:
        """The letter. Raises Runaway when the mail is more than a cell process can bear."""
        return await self.cell.run(read, arrival.raw, self.caps)


def read(raw: bytes, caps: ReadingCaps) -> Letter:
    """The mail as a person would read it; whatever is broken is read as far as it goes.

    Raises Permanent when it has more header fields than any mail the door takes.
    """
    try:
        headers = scan_kept(raw)
    except HeadersTooLarge:
        raise Permanent("its header section is too large") from None
    known = facts(headers, "")
    tree = split(raw, headers, caps.parts, caps.depth)
    text = _text(tree, caps).strip("\n")[: caps.text_chars]
    references = tuple(dict.fromkeys(known.references + known.in_reply_to))
    return Letter(
        sender=known.author,
        sender_name=known.author_name,
        subject=known.subject,
        message_id=known.message_id,
        references=references,
        body_text=text,
        body_html="\n".join(_pages(tree))[:HTML_MAX],
        new_text=new_text(text, is_reply(known.subject, bool(references))),
        attachments=tuple(_attachments(tree, caps)),
    )


def _is_body(part: Part) -> bool:
    # A file that is shown inline is still a file: only nameless text is the letter's own.
    return (
        part.content_type in ("text/plain", "text/html")
        and part.disposition != "attachment"
        and not part.filename
    )


def _text(part: Part, caps: ReadingCaps) -> str:
    """The text of a part and those below it, in their order."""
    if not part.children:
        return _leaf_text(part, caps) if _is_body(part) else ""
    texts = [_text(child, caps) for child in part.children]
    if part.content_type != "multipart/alternative":
        return "\n".join(text for text in texts if text.strip())
    # The same text several times: the plain one, unless it is empty.
    order = sorted(zip(part.children, texts, strict=True), key=lambda pair: _has_page(pair[0]))
    return next((text for _, text in order if text.strip()), "")


def _has_page(part: Part) -> bool:
    return any(leaf.content_type == "text/html" for leaf in part.leaves())


def _leaf_text(part: Part, caps: ReadingCaps) -> str:
    if part.content_type == "text/html":
        return clean(to_text(_page(part)))
    # Quoted-printable triples a byte, and no charset needs more than four for a character.
    content = part.content(most=12 * caps.text_chars)
    text = clean(decode(content, part.parameters.get("charset", "")))
    if part.parameters.get("format", "").lower() == "flowed":
        return unflowed(text, part.parameters.get("delsp", "").lower() == "yes")
    return text


def _page(part: Part) -> str:
    content = part.content(most=12 * HTML_MAX)
    return decode(content, part.parameters.get("charset") or meta_charset(content))


def _pages(tree: Part) -> Iterator[str]:
    for leaf in tree.leaves():
        if leaf.content_type == "text/html" and _is_body(leaf):
            yield clean(_page(leaf)[:HTML_MAX])


def _attachments(tree: Part, caps: ReadingCaps) -> Iterator[Attachment]:
    text_left = caps.text_chars
    for leaf in tree.leaves():
        if not _is_body(leaf):
            attachment = describe(leaf, caps.attachment_bytes, text_left)
            text_left -= len(attachment.text)
            yield attachment


def unflowed(text: str, delsp: bool) -> str:
    """Format=flowed text with its paragraphs joined (RFC 3676 section 4.2)."""
    lines: list[str] = []
    depth_before, open_paragraph = 0, False
    for line in text.split("\n"):
        body = line.lstrip(">")
        depth = len(line) - len(body)
        body = body.removeprefix(" ")
        # The signature line ends with a space and flows nowhere.
        flows = body.endswith(" ") and body != "-- "
        if flows and delsp:
            body = body[:-1]
        if open_paragraph and depth == depth_before and body != "-- ":
            lines[-1] += body
        else:
            lines.append(f"{'>' * depth} {body}" if depth else body)
        depth_before, open_paragraph = depth, flows
    return "\n".join(lines)
