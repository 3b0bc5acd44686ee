"""The arguments of MAIL and RCPT (RFC 5321 section 4.1.2), read in one pass.

The library reads an address with the parser for header fields, which costs more
than all the rest of the command.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from smtpd import replies
from smtpd.addresses import ATEXT, DOMAIN, DOT_ATOM
from smtpd.replies import Reply

# RFC 5321 section 4.5.3.1, and the 256 octets of a path without its brackets.
LOCAL_MAX = 64
ADDRESS_MAX = 254

# Dots stand where they like: mobile carriers gave out addresses with two in a row.
_DOT_STRING = rf"(?:{ATEXT}|\.)+"
_QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
_LITERAL = r"\[[!-Z^-~]+\]"
_ROUTE = rf"@{DOMAIN}(?:,@{DOMAIN})*:"
_PARAMETERS = r"(?P<parameters>[ \t][ -~\t]*)?"

# A space after the colon is wrong and common.
_PATH = re.compile(
    rf"[ \t]*<(?:{_ROUTE})?(?P<local>{_DOT_STRING}|{_QUOTED})"
    rf"@(?P<domain>{DOMAIN}|{_LITERAL})>{_PARAMETERS}"
)
_NULL_SENDER = re.compile(rf"[ \t]*<>{_PARAMETERS}")
_POSTMASTER = re.compile(rf"[ \t]*<(?P<local>postmaster)>{_PARAMETERS}", re.IGNORECASE)
_NEEDLESS_QUOTES = re.compile(rf'"({DOT_ATOM})"')
_ESCAPED = re.compile(r"\\(.)")
_PARAMETER = re.compile(r"(?P<keyword>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[!-<>-~]+))?")
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 section 4


class BadPath(ValueError):
    """The argument cannot be taken; `reply` is what the peer hears."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


def sender(argument: bytes, *, size_max: int, extended: bool) -> str:
    """The reverse-path of `FROM:<address> parameters`, "" for the null sender.

    Parameters are taken after EHLO (`extended`) only. Raises BadPath.
    """
    text = _after(b"FROM:", argument)
    match = _PATH.fullmatch(text) or _NULL_SENDER.fullmatch(text)
    if match is None:
        raise BadPath(_objection(argument, replies.BAD_SENDER))
    for keyword, value in _parameters(match["parameters"]).items():
        if not extended or keyword not in ("SIZE", "BODY"):
            raise BadPath(replies.UNKNOWN_PARAMETER)
        if keyword == "SIZE":
            _check_size(value, size_max)
        elif value.upper() not in ("7BIT", "8BITMIME"):
            raise BadPath(replies.BAD_PARAMETER)
    return _address(match, replies.BAD_SENDER) if match.re is _PATH else ""


def recipient(argument: bytes) -> str:
    """The forward-path of `TO:<address>`, or `postmaster` alone. Raises BadPath."""
    text = _after(b"TO:", argument)
    match = _PATH.fullmatch(text) or _POSTMASTER.fullmatch(text)
    if match is None:
        raise BadPath(_objection(argument, replies.BAD_ADDRESS))
    if _parameters(match["parameters"]):
        raise BadPath(replies.UNKNOWN_PARAMETER)
    return _address(match, replies.BAD_ADDRESS) if match.re is _PATH else match["local"]


def _after(keyword: bytes, argument: bytes) -> str:
    """What follows the keyword; any octet outside ASCII stays one that matches nothing."""
    if argument[: len(keyword)].upper() != keyword:
        raise BadPath(replies.BAD_SYNTAX)
    return argument[len(keyword) :].decode("latin-1")


def _objection(argument: bytes, otherwise: Reply) -> Reply:
    """What is wrong with a path that cannot be read."""
    if not argument.isascii():
        return replies.ADDRESS_NOT_ASCII
    if not argument.replace(b"\t", b" ").decode("ascii").isprintable():
        return replies.BAD_SYNTAX
    return otherwise


def _address(match: re.Match[str], otherwise: Reply) -> str:
    local, domain = match["local"], match["domain"]
    if local[0] == '"':
        # RFC 5321 section 4.1.2: quoted where it need not be, it is the same mailbox.
        plain = _NEEDLESS_QUOTES.fullmatch(_ESCAPED.sub(r"\1", local))
        local = plain[1] if plain else local
    if len(local) > LOCAL_MAX or len(local) + 1 + len(domain) > ADDRESS_MAX:
        raise BadPath(otherwise)
    if domain[0] == "[" and not _is_literal(domain[1:-1]):
        raise BadPath(otherwise)
    return f"{local}@{domain}"


def _is_literal(text: str) -> bool:
    """Whether it is an address literal of a kind in use (RFC 5321 section 4.1.3)."""
    try:
        if text[:5].upper() == "IPV6:":
            IPv6Address(text[5:])
        else:
            IPv4Address(text)
    except ValueError:
        return False
    return True


def _parameters(text: str | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in text.split() if text else ():
        match = _PARAMETER.fullmatch(word)
        keyword = match["keyword"].upper() if match else ""
        if match is None or keyword in found:
            raise BadPath(replies.BAD_PARAMETER)
        found[keyword] = match["value"] or ""
    return found


def _check_size(value: str, size_max: int) -> None:
    if not _SIZE.fullmatch(value):
        raise BadPath(replies.BAD_PARAMETER)
    if int(value) > size_max:
        raise BadPath(replies.TOO_BIG)
