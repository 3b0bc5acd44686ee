"""What was attached, and what could be read of it. Runs in the cell."""

from __future__ import annotations

import hashlib

from handlers.letter import Attachment
from handlers.parts import Part
from smtpd.decoding import clean, decode

READ_TYPES = frozenset({"text/plain", "text/csv", "text/markdown", "text/x-markdown"})


def describe(part: Part, size_max: int, text_max: int) -> Attachment:
    """The attachment in `part`, with its text where its type and size allow to read it.

    `size_max` is in decoded bytes, `text_max` in characters.
    """
    content = part.content()
    text, what, because = _text(part, content, size_max, text_max)
    return Attachment(
        filename=part.filename,
        content_type=part.content_type,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        text=text,
        what_was_read=what,
        because=because,
    )


def _text(part: Part, content: bytes, size_max: int, text_max: int) -> tuple[str, str, str]:
    """The text, how much of the content that is, and why it is no more."""
    if part.content_type.startswith("multipart/"):
        return "", "nothing", "it has too many parts, or parts nested too deeply"
    if part.content_type not in READ_TYPES:
        return "", "nothing", "this type is not read"
    if len(content) > size_max:
        return "", "nothing", "it is larger than MAX_ATTACHMENT_SIZE"
    if text_max <= 0:
        return "", "nothing", "the letter and its other attachments have as much text as is read"
    # No charset needs more than four bytes for a character.
    text = clean(decode(content[: 4 * text_max + 4], part.parameters.get("charset", "")))
    if len(text) <= text_max and len(content) <= 4 * text_max + 4:
        return text, "all", ""
    text = text[:text_max]
    return text, f"the first {len(text)} characters", "it is longer than what is read"
