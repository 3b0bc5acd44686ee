"""Reads DMARC policy records (RFC 9989 sections 4.7 and 4.8). Neighbour: smtpd/checks/dmarc.py
finds them in DNS. Pure, and total on any octets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from smtpd.questions import Record

# Records in use have fewer than 512 octets, most of them for a handful of report addresses.
RECORD_BYTES = 4096

# From the mildest; t=y asks for one level less.
POLICIES = ("none", "quarantine", "reject")

_WSP = b" \t"
# RFC 3986 with the obsolete size of section 4.8; commas and exclamation points are encoded.
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@$&'()*+=-]|%[0-9A-Fa-f]{2})+"
    r"(?:![0-9]+[KMGTkmgt]?)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcRecord:
    """One record with its defaults filled in and t=y applied."""

    policy: str = "none"  # for the domain itself
    subdomain_policy: str = "none"  # for its subdomains
    nonexistent_policy: str = "none"  # for subdomains that DNS does not know
    # False: no policy can be read and nobody takes reports; no DMARC for this mail
    # (section 4.10.1). The record still marks its domain in a tree walk.
    applies: bool = True
    psd: str = "u"  # y: a public suffix, n: an organisation, u: neither is said
    strict: frozenset[str] = frozenset()  # of dkim and spf: what has to be identical


def milder(one: str, other: str) -> str:
    """The policy that asks for less."""
    return min(one, other, key=POLICIES.index)


def only_record(records: Iterable[Record]) -> DmarcRecord | None:
    """The DMARC record among a name's TXT records; of several, none counts (section 4.10)."""
    found = [read for text in records if isinstance(text, bytes) and (read := read_record(text))]
    return found[0] if len(found) == 1 else None


def read_record(text: bytes) -> DmarcRecord | None:
    """The record, or None where this is none: it does not begin with v=DMARC1."""
    if len(text) > RECORD_BYTES:
        return None
    version, _, rest = text.partition(b";")
    name, _, value = version.partition(b"=")
    # Nothing may stand before the "v". DMARC1 is case-sensitive, the tags' names are not.
    if name.rstrip(_WSP).lower() != b"v" or value.strip(_WSP) != b"DMARC1":
        return None
    return _record(_tags(rest))


def _tags(text: bytes) -> dict[str, str]:
    """The values by name; what is no tag is passed over (section 4.8)."""
    tags: dict[str, str] = {}
    for part in text.split(b";"):
        name, equals, value = part.partition(b"=")
        name = name.strip(_WSP)
        if not equals or not name.isalpha():
            continue
        key = name.decode("ascii").lower()
        # RFC 6376 section 3.2: no tag comes twice. One that does says nothing valid.
        tags[key] = "" if key in tags else value.strip(_WSP).decode("ascii", "replace")
    return tags


def _record(tags: dict[str, str]) -> DmarcRecord:
    policy, subdomain, nonexistent, readable = _policies(tags)
    if tags.get("t", "").lower() == "y":
        policy, subdomain, nonexistent = map(_one_level_less, (policy, subdomain, nonexistent))
    psd = tags.get("psd", "").lower()
    strict = {by for by in ("dkim", "spf") if tags.get(f"a{by}", "").lower() == "s"}
    return DmarcRecord(
        policy=policy,
        subdomain_policy=subdomain,
        nonexistent_policy=nonexistent,
        applies=readable or _takes_reports(tags.get("rua", "")),
        psd=psd if psd in ("y", "n") else "u",
        strict=frozenset(strict),
    )


def _policies(tags: dict[str, str]) -> tuple[str, str, str, bool]:
    """p, sp and np with their defaults, and whether all that are there can be read."""
    given = {name: tags[name].lower() for name in ("p", "sp", "np") if name in tags}
    if not all(policy in POLICIES for policy in given.values()):
        # Section 4.10.1: one that is not valid spoils all three.
        return "none", "none", "none", False
    # Section 4.7: a record without p is one with p=none, whether or not it has rua.
    policy = given.get("p", "none")
    subdomain = given.get("sp", policy)
    return policy, subdomain, given.get("np", subdomain), True


def _one_level_less(policy: str) -> str:
    return POLICIES[max(0, POLICIES.index(policy) - 1)]


def _takes_reports(rua: str) -> bool:
    """Whether at least one reporting URI is valid."""
    return any(_URI.fullmatch(uri.strip(" \t")) for uri in rua.split(","))
