"""What a setting's value may look like beyond a plain number or word.

Neighbours: config/settings.py uses these types; config/loading.py puts the
setting's name in front of what they object. A message never repeats the value:
it may be a person's address.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator

# One label of a host name. Underscores are no mail domain's, but Docker's service names have them.
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


_SERVER = re.compile(r"(?:\[(?P<six>[^]]*)\]|(?P<four>[^:]*)):(?P<port>[0-9]{1,5})")


def address(text: str) -> str:
    """A mail address with its domain in lower-case ASCII. Raises ValueError."""
    try:
        # Nobody writes to .test outside a test, and there it has to work: no DNS is asked.
        valid = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        # The library's own words quote the address.
        raise ValueError("is not a mail address; write name@domain") from None
    return f"{valid.local_part}@{valid.ascii_domain.lower()}"


def plain_address(text: str) -> str:
    """A mail address that every server and relay can carry. Raises ValueError."""
    valid = address(text)
    if not valid.isascii():
        raise ValueError("must be plain ASCII: not every relay carries other addresses")
    return valid


def domain(text: str) -> str:
    """A mail domain in lower-case ASCII. Raises ValueError."""
    try:
        return address(f"x@{text}").partition("@")[2]
    except ValueError:
        raise ValueError("is not a domain; write it like example.com") from None


def sender(text: str) -> str:
    """An entry of a sender list: an address, or a domain with or without @ before it."""
    local, _, _ = text.rpartition("@")
    if local:
        return address(text)
    try:
        return domain(text.removeprefix("@"))
    except ValueError:
        raise ValueError("is neither a mail address nor a domain") from None


def sender_or_all(text: str) -> str:
    """An entry of a sender list in which * stands for everybody."""
    return text if text == "*" else sender(text)


def host(text: str) -> str:
    """A host name or an IP address, without port. Raises ValueError."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        name = text.removesuffix(".").lower()
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("must be a host name or an IP address, without port or path")
    return name


def optional(check: Callable[[str], str]) -> Callable[[str], str]:
    """The same check, where the empty text stands for "not set"."""
    return lambda text: check(text) if text else text


def web_address(text: str) -> str:
    """An http(s) address without credentials, query or closing slash. Raises ValueError."""
    try:
        parts = urlsplit(text)
        host(parts.hostname or "")
        usable = parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be like https://host or http://host:port/path, nothing more")
    return text.rstrip("/")


def web_path(text: str) -> str:
    """A path below a web address. Raises ValueError."""
    if not text.startswith("/"):
        raise ValueError("must begin with /")
    return text


def network(text: str) -> str:
    """An IP network, or one address. Raises ValueError."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError("is no network; write it like 192.0.2.0/24 or 2001:db8::/32") from None


def dns_server(text: str) -> str:
    """A nameserver's IP address, with a port where it has one. Raises ValueError."""
    match = _SERVER.fullmatch(text)
    try:
        server = ipaddress.ip_address((match["six"] or match["four"]) if match else text)
        port = int(match["port"]) if match else 53
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise ValueError("is no nameserver; write 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:5353")
    if not match:
        return str(server)
    return f"[{server}]:{port}" if server.version == 6 else f"{server}:{port}"


def selector(text: str) -> str:
    """A DKIM selector, RFC 6376 section 3.1. Raises ValueError."""
    if not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise ValueError("must be letters, digits and hyphens, with dots between them")
    return text.lower()


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(entry.strip() for entry in value.split(",") if entry.strip())
    return value


def _each(check: Callable[[str], str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    def checked(entries: tuple[str, ...]) -> tuple[str, ...]:
        result = []
        for number, entry in enumerate(entries, start=1):
            try:
                result.append(check(entry))
            except ValueError as error:
                raise ValueError(f"has an entry (number {number}) that {error}") from None
        return tuple(dict.fromkeys(result))

    return checked


Upper = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)

OwnAddress = Annotated[str, AfterValidator(plain_address)]
OptionalDomain = Annotated[str, AfterValidator(optional(domain))]
Host = Annotated[str, AfterValidator(host)]
OptionalAddress = Annotated[str, AfterValidator(optional(address))]
OptionalPlainAddress = Annotated[str, AfterValidator(optional(plain_address))]

OptionalHost = Annotated[str, AfterValidator(optional(host))]
WebAddress = Annotated[str, AfterValidator(web_address)]
WebPath = Annotated[str, AfterValidator(web_path)]
Selector = Annotated[str, AfterValidator(selector)]
OwnAddresses = Annotated[
    tuple[str, ...], BeforeValidator(_split), AfterValidator(_each(plain_address))
]
Networks = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_each(network))]
DnsServers = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_each(dns_server))]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_split)]
Senders = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_each(sender))]
SendersOrAll = Annotated[
    tuple[str, ...], BeforeValidator(_split), AfterValidator(_each(sender_or_all))
]
