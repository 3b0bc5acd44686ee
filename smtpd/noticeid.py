"""The Message-ID of our mail to the operator, by which we know again what comes back of it.

    <notice.<32 hexadecimal digits>@<our domain>>

It is no proof: whoever writes one into a mail of theirs only keeps it from being answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache


def notice_id(token: str, domain: str) -> str:
    """The Message-ID; `token` is 128 random bits in hexadecimal."""
    return f"<notice.{token}@{domain}>"


def names_a_notice(message_ids: Iterable[str], domain: str) -> bool:
    """Whether one of the Message-IDs is that of a mail to the operator."""
    return any(_pattern(domain).fullmatch(one.encode("utf-8", "replace")) for one in message_ids)


def carries_a_notice(raw: bytes, domain: str) -> bool:
    """Whether such a Message-ID stands anywhere in a mail, as in a bounce that returns ours."""
    return _pattern(domain).search(raw) is not None


@cache
def _pattern(domain: str) -> re.Pattern[bytes]:
    return re.compile(rb"<notice\.[0-9a-f]{32}@%b>" % re.escape(domain.encode()), re.IGNORECASE)
