"""What is new in a reply: the text without quoted mail and signature.

The rule above all others: never lose the writer's own words. Only what is certain is
removed, from the end upwards, so that answers between quotes keep their questions and
a forwarded mail stays. Every step looks at each line a bounded number of times.
"""

from __future__ import annotations

import re

from handlers import quotewords as words

TEXT_MAX = 65_536  # characters that are looked at; what is behind them is a quote of a quote
_ATTRIBUTION_MAX = 300  # characters of one attribution, all its lines together
_ATTRIBUTION_LINES = 4
_SIGNATURE_LINES = 12
_HEADER_BLOCK_LINES = 12

_SENDER = re.compile(r"[\w.+-]{1,64}@[\w.-]{1,253}")
_CLOCK = re.compile(r"\d[:.h]\d\d")
_DATE = re.compile(r"\d{4}|\d{1,2}[./-]\d{1,2}[./-]\d\d")
_RULE_LINE = re.compile(r"\s{0,4}[_-]{10,100}\s{0,4}")
_SIGNATURE = re.compile(r"-- ?")


def is_reply(subject: str, refers: bool) -> bool:
    """Whether the mail claims to answer another; `refers` says that it names one by its id.

    Where it does not, quoted text is what the writer put there, and what they ask about.
    """
    if words.FORWARD_SUBJECT.match(subject):
        return False
    return refers or bool(words.REPLY_SUBJECT.match(subject))


def new_text(text: str, reply: bool = True) -> str:
    """The writer's own words; all of `text` where nothing certain can be removed.

    Only of a reply are quotes removed, of any other mail just the signature.
    """
    lines = [line.rstrip() for line in text[:TEXT_MAX].split("\n")]
    if reply:
        lines = _without_unmarked_quote(lines)
    # A signature may stand above the quote, or below it: one pass for each order.
    for _ in range(2):
        lines = _without_signature(_trimmed(lines))
        lines = _without_marked_quote(_trimmed(lines)) if reply else lines
    kept = "\n".join(_trimmed(lines))
    return kept if kept.strip() else text.strip("\n")


def _trimmed(lines: list[str]) -> list[str]:
    start, end = 0, len(lines)
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    return lines[start:end]


def _is_quoted(line: str) -> bool:
    return line.lstrip().startswith(">")


def _without_unmarked_quote(lines: list[str]) -> list[str]:
    """Cut where another mail begins that is repeated whole, without a mark on its lines."""
    for at, line in enumerate(lines):
        if words.FORWARDED.match(line):
            return lines
        if not _begins_unmarked_quote(lines, at):
            continue
        above = "\n".join(lines[:at])
        # "See my answers below": then they are in what follows.
        if not above.strip() or words.ANSWERS_BELOW.search(above[-2000:]):
            return lines
        return lines[:at]
    return lines


def _begins_unmarked_quote(lines: list[str], at: int) -> bool:
    line = lines[at]
    if words.ORIGINAL.fullmatch(line):
        return True
    if _RULE_LINE.fullmatch(line):
        return _header_block(_after_blanks(lines, at + 1))
    if _header_block(lines[at : at + _HEADER_BLOCK_LINES]):
        return True
    length = _attribution(lines, at)
    if not length:
        return False
    behind = [text for text in lines[at + length : at + length + 8] if text.strip()]
    return bool(behind) and not any(map(_is_quoted, behind))


def _after_blanks(lines: list[str], at: int) -> list[str]:
    while at < len(lines) and not lines[at].strip():
        at += 1
    return lines[at : at + _HEADER_BLOCK_LINES]


def _header_block(lines: list[str]) -> bool:
    """Whether these lines begin with three fields of a mail, its sender first."""
    if not lines or not words.SENDER_FIELD.match(lines[0]):
        return False
    end = next((at for at, line in enumerate(lines) if not line.strip()), len(lines))
    return _fields(lines[:end]) >= 3


def _attribution(lines: list[str], at: int) -> int:
    """How many lines the attribution has that begins at `at`; 0 where none does."""
    joined = ""
    for count, line in enumerate(lines[at : at + _ATTRIBUTION_LINES], start=1):
        sentence_ended = joined.endswith((".", "!", "?"))
        joined = f"{joined} {line.strip()}".strip()
        too_long = len(joined) > _ATTRIBUTION_MAX
        if sentence_ended or too_long or not line.strip() or _is_quoted(line):
            return 0
        if joined.endswith((":", "\uff1a")):  # the East Asian colon too
            return count if _introduces(joined.lower()) else 0
    return 0


def _introduces(line: str) -> bool:
    # An address, or a whole date with a time: prose before a citation rarely has them.
    if _dated(line):
        return True
    says = words.NUMERIC_DATE.match(line) or any(verb in line for verb in words.VERBS)
    return bool(says and _SENDER.search(line))


def _dated(line: str) -> bool:
    if not (_CLOCK.search(line) and _DATE.search(line)):
        return False
    return bool(words.EAST_ASIAN_DATE.search(line)) or any(
        line.startswith(opening) and any(verb in line for verb in verbs)
        for opening, verbs in words.ATTRIBUTIONS
    )


def _without_marked_quote(lines: list[str]) -> list[str]:
    """Drop the quote at the end, when a line that introduces it tells it from a citation."""
    at = len(lines)
    while at and (_is_quoted(lines[at - 1]) or not lines[at - 1].strip()):
        at -= 1
    if at == len(lines) or (at and words.FORWARDED.match(lines[at - 1])):
        return lines
    if count := _attribution_above(lines, at):
        return lines[: at - count]
    # Some programs introduce it inside the quote.
    quote = [line.lstrip("> ") for line in _after_blanks(lines, at)]
    return lines[:at] if _attribution(quote, 0) or _fields(quote) >= 3 else lines


def _attribution_above(lines: list[str], at: int) -> int:
    """How many lines of attribution end just above `at`: the fewest, but with their date."""
    counts = [
        count
        for count in range(1, min(at, _ATTRIBUTION_LINES) + 1)
        if _attribution(lines, at - count) == count
    ]
    dated = [count for count in counts if _dated(" ".join(lines[at - count : at]).strip().lower())]
    return min(dated or counts, default=0)


def _fields(lines: list[str]) -> int:
    """How many of the first lines are fields of a mail."""
    known = (words.SENDER_FIELD, words.OTHER_FIELD)
    return sum(any(field.match(line) for field in known) for line in lines[:6])


def _without_signature(lines: list[str]) -> list[str]:
    """Drop a signature behind its delimiter, and the line a telephone adds."""
    for at in range(len(lines) - 1, max(len(lines) - _SIGNATURE_LINES - 2, 0), -1):
        if _is_quoted(lines[at]):
            break
        if _SIGNATURE.fullmatch(lines[at]):
            lines = _trimmed(lines[:at])
            break
    if len(lines) > 1 and words.DEVICE.fullmatch(lines[-1].strip()):
        lines = _trimmed(lines[:-1])
    return lines
