"""Addresses in header fields (RFC 5322 section 3.4), read in one bounded, linear pass.

The standard library's readers differ between Python versions and take seconds for
eight kilobytes of quotation marks. What cannot be read for certain is a `Mailbox`
without an address, never a guess: an answer would go there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from smtpd.decoding import decode_words, one_line

NAME_MAX = 200  # characters of a display name that are kept

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | "(?P<quoted>(?:[^"\\]|\\.)*)(?P<closed>"?)
      | (?P<special>[()<>,;:])
      | (?P<atom>\[[^][\\ ]*\]|[^ \t\r\n"()<>,;:[]+|\[)""",
    re.VERBOSE | re.DOTALL,
)
_PARENTHESIS = re.compile(r"\\.|[()]", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

# The words of RFC 5322 section 3.2.3 that smtpd/paths.py is made of, too.
ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
DOT_ATOM = rf"{ATEXT}+(?:\.{ATEXT}+)*"
# Underscores are in use, though no host name may hold one.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"

_DOT_ATOM = re.compile(DOT_ATOM)
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){DOMAIN}")
# Without the characters that would end the address for a less careful reader.
_QUOTED_LOCAL = re.compile(r'"[^\x00-\x1f"(),:;<>@\\\x7f-\U0010ffff]+"')
_ADDRESSED_WORD = re.compile(r"(?<!\S)(?=\S*(?:@|%40))\S+")
_ANY_DOMAIN = re.compile(r"@([A-Za-z0-9_.-]{1,253})")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox; `address` is "" where its text is no plain ASCII address with a domain."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # space, word, comment, special, broken
    text: str  # without quotes
    raw: str = ""


_COLON, _OPENING, _CLOSING = (_Token("special", sign) for sign in ":<>")


def mailboxes(text: str, most: int = 100) -> tuple[Mailbox, ...]:
    """The mailboxes of an address list, members of groups included, `most` at most."""
    found: list[Mailbox] = []
    current: list[_Token] = []
    phrase = True  # so far `current` could be the name of a group
    for token in _tokens(text):
        ends = token.kind == "special" and token.text in ",;"
        if ends:
            _add(found, current)
        if ends or (token == _COLON and phrase):
            current, phrase = [], True
            continue
        current.append(token)
        phrase = phrase and token.kind in ("space", "word", "comment") and "@" not in token.text
        if len(found) >= most:
            return tuple(found)
    _add(found, current)
    return tuple(found)


def normal(address: str) -> str:
    """The address with its domain in lower case and needless quotes removed, "" for none."""
    local, _, domain = address.rpartition("@")
    if local[:1] == '"' and _DOT_ATOM.fullmatch(local[1:-1]):
        local = local[1:-1]
    right = _DOT_ATOM.fullmatch(local) or _QUOTED_LOCAL.fullmatch(local)
    if not right or len(local) > 64 or not _DOMAIN.fullmatch(domain):
        return ""
    return f"{local}@{domain.lower()}"


def domain_of(address: str) -> str:
    """The domain of an address, in lower case; "" where there is none."""
    return address.rpartition("@")[2].lower() if "@" in address else ""


def local_of(address: str) -> str:
    """The local part of an address, in lower case."""
    return (address.rpartition("@")[0] if "@" in address else address).lower()


def untagged(address: str) -> str:
    """The address without what stands behind a + in its local part, in lower case."""
    return f"{local_of(address).partition('+')[0]}@{domain_of(address)}"


def every_domain(text: str) -> frozenset[str]:
    """Every domain that stands after an @, for text that could not be read for certain."""
    return frozenset(match[1].lower().rstrip(".") for match in _ANY_DOMAIN.finditer(text))


def without_addresses(text: str) -> str:
    """The text with … for every word that may hold an address: of a relay's reply, say."""
    return _ADDRESSED_WORD.sub("…", text)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        if match["special"] == "(":
            end = comment_end(text, at)
            yield _Token("comment" if end else "broken", text[at : end - 1])
            at = end or len(text)
        elif match["quoted"] is not None:
            kind = "word" if match["closed"] else "broken"
            yield _Token(kind, _ESCAPE.sub(r"\1", match["quoted"]), match[0])
        elif match["atom"]:
            yield _Token("word", match["atom"], match["atom"])
        else:
            yield _Token("special" if match["special"] else "space", match[0])
    if at < len(text):
        yield _Token("broken", "")


def comment_end(text: str, at: int) -> int:
    """Just behind the comment whose inside starts at `at`; 0 where it is not closed."""
    depth = 1
    for match in _PARENTHESIS.finditer(text, at):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if not depth:
            return match.end()
    return 0


def _add(found: list[Mailbox], tokens: list[_Token]) -> None:
    if any(token.kind not in ("space", "comment") for token in tokens):
        found.append(_mailbox(tokens))


def _mailbox(tokens: list[_Token]) -> Mailbox:
    comments = [token.text for token in tokens if token.kind == "comment"]
    rest = _trimmed([token for token in tokens if token.kind != "comment"])
    if _OPENING not in rest:
        return Mailbox(_name(comments[-1:]), _address(rest))
    at = rest.index(_OPENING)
    name = _name([token.text for token in rest[:at]])
    if rest[-1] != _CLOSING or any(token.kind == "broken" for token in rest):
        return Mailbox(name, "")
    return Mailbox(name, _address(_trimmed(rest[at + 1 : -1])))


def _trimmed(tokens: list[_Token]) -> list[_Token]:
    start, end = 0, len(tokens)
    while start < end and tokens[start].kind == "space":
        start += 1
    while end > start and tokens[end - 1].kind == "space":
        end -= 1
    return tokens[start:end]


def _address(tokens: list[_Token]) -> str:
    if any(token.kind != "word" for token in tokens):
        return ""
    return normal("".join(token.raw for token in tokens))


def _name(words: list[str]) -> str:
    return one_line(decode_words("".join(words)), NAME_MAX)
