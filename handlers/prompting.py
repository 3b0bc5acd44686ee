"""What the AI is asked: the letter as a fenced text, and the context beside it. Pure.

The fence is a pair of tags and nothing else, so that the prompt stays what the
interface calls it, the email's content, in the language of its author. Text
that imitates a tag is changed before it goes between the real ones.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from handlers.letter import Attachment, Letter, Record, Said
from smtpd.decoding import clean, one_line

PROMPT_MAX_BYTES = 65536  # of UTF-8, attachments included
EARLIER_MAX_BYTES = 32768  # of UTF-8, of all earlier messages together
CUT = "\n[…]"  # stands where the rest is missing

_ATTRIBUTE_MAX = 100  # characters of a file's name, or of a reason
_TAG = re.compile(r"<(?=\s*/?\s*(?:email|attachment)\b)", re.IGNORECASE)


def prompt(letter: Letter, max_bytes: int = PROMPT_MAX_BYTES) -> str:
    """The author's new text between <email> tags, then each attachment between its own.

    The author's text takes the room it needs; attachments share what is left, in
    their order, and one without any room left is named only.
    """
    parts = [_fenced("email", "", letter.new_text, max_bytes)]
    room = max_bytes - _size(parts[0])
    for attachment in letter.attachments:
        part = _fenced("attachment", _label(attachment), attachment.text, room)
        if _size(part) + 2 > room:
            break
        parts.append(part)
        room -= _size(part) + 2
    return "\n\n".join(parts)


def email_context(
    record: Record, letter: Letter, said: Sequence[Said], person: str
) -> dict[str, Any]:
    """The interface's email_context: exactly its four keys."""
    return {
        "sender": letter.sender,
        "subject": one_line(letter.subject, len(letter.subject)),
        "thread_id": thread_of(record.thread_id, person),
        "previous_messages": _earlier(said),
    }


def thread_of(thread_id: str, person: str) -> str:
    """The conversation as one person (a keyed hash) has it.

    Several people may take part, each with a memory of their own: a core that remembers by
    thread_id must not tell one of them what another wrote.
    """
    return hashlib.sha256(f"{thread_id} {person}".encode()).hexdigest()[:26]


def _earlier(said: Sequence[Said]) -> list[dict[str, str]]:
    """The newest messages that fit, oldest first; the newest one is cut rather than left out."""
    kept: list[dict[str, str]] = []
    room = EARLIER_MAX_BYTES
    for message in reversed(said):
        content = clean(message.content)
        if _size(content) > room:
            if kept:
                break
            content = _cut(content, room)
        room -= _size(content)
        date = message.date.astimezone(UTC).isoformat(timespec="seconds")
        kept.append({"role": message.role, "content": content, "date": date})
    kept.reverse()
    return kept


def _fenced(tag: str, label: str, text: str, max_bytes: int) -> str:
    opening, closing = f"<{tag}{label}>\n", f"\n</{tag}>"
    inside = _TAG.sub("&lt;", clean(text).strip())
    return opening + _cut(inside, max_bytes - _size(opening + closing)) + closing


def _label(attachment: Attachment) -> str:
    words = {
        "filename": attachment.filename,
        "type": attachment.content_type,
        "read": attachment.what_was_read,
        "because": attachment.because,
    }
    return "".join(f' {key}="{_attribute(text)}"' for key, text in words.items() if text)


def _attribute(text: str) -> str:
    return html.escape(one_line(text, _ATTRIBUTE_MAX))


def _cut(text: str, max_bytes: int) -> str:
    """At most so many bytes of UTF-8, and a mark where something is missing."""
    if _size(text) <= max_bytes:
        return text
    room = max(0, max_bytes - _size(CUT))
    return text.encode()[:room].decode(errors="ignore") + CUT


def _size(text: str) -> int:
    return len(text.encode())
