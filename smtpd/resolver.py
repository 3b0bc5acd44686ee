"""Asks DNS: dnspython under a deadline, behind a cache. Neighbours: smtpd/dnscache.py keeps
answers, smtpd/dnswire.py bounds them, smtpd/inquiry.py bounds what one mail may ask.
"""

from __future__ import annotations

import asyncio
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from config.checks_settings import ChecksSettings
from smtpd.dnscache import DnsCache
from smtpd.dnssockets import BoundedNameserver
from smtpd.questions import Answer, Kind, Question, Record, Status

UNDER_WAY_MAX = 200  # questions at one time, each with a socket of its own
SYSTEM_FILE = "/etc/resolv.conf"
_LOCAL = "127.0.0.1"  # where resolv.conf(5) looks when that file names no nameserver
_UDP_PAYLOAD = 1232  # bytes that pass every network unfragmented (DNS flag day 2020)

_NAME_MAX = 253  # characters, RFC 1035 section 2.3.4
_NO_ANSWER = Answer(Status.SERVFAIL)
_NO_SUCH_NAME = Answer(Status.NXDOMAIN)


class Resolver:
    """DNS answers for everybody here."""

    def __init__(self, settings: ChecksSettings) -> None:
        self._timeout_s = settings.dns_timeout
        self._resolver = _resolver(settings)
        self._cache = DnsCache(settings.dns_cache_entries)
        self._under_way: dict[Question, asyncio.Task[Answer]] = {}
        self._room = asyncio.Semaphore(UNDER_WAY_MAX)

    def known(self, question: Question) -> Answer | None:
        """The answer, where it is remembered."""
        return self._cache.get(question)

    async def lookup(self, question: Question) -> Answer:
        """The answer, from the cache or from DNS; never raises but CancelledError."""
        known = self._cache.get(question)
        if known is not None:
            return known
        task = self._under_way.get(question)
        if task is None:
            task = asyncio.create_task(self._ask(question), name="dns question")
            self._under_way[question] = task
            task.add_done_callback(lambda _: self._under_way.pop(question, None))
        # One asker who goes away does not take the answer from the others.
        await asyncio.wait((task,))
        return _NO_ANSWER if task.cancelled() else task.result()

    async def close(self) -> None:
        """End what is under way: it stays unanswered."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, question: Question) -> Answer:
        name = _name(question.name)
        if name is None:
            return _NO_SUCH_NAME
        try:
            # The time in line counts too, so that nothing piles up behind silent nameservers.
            async with asyncio.timeout(self._timeout_s + 1), self._room:
                answer, ttl_s = await self._resolve(name, question.kind)
        except TimeoutError:
            answer, ttl_s = Answer(Status.TIMEOUT), 0.0
        self._cache.put(question, answer, ttl_s)
        return answer

    async def _resolve(self, name: dns.name.Name, kind: Kind) -> tuple[Answer, float]:
        """The answer and how long it may be remembered, in seconds."""
        try:
            found = await self._resolver.resolve(name, kind.value, lifetime=self._timeout_s)
        except dns.resolver.NXDOMAIN as error:
            return _NO_SUCH_NAME, max(map(_negative_ttl_s, error.kwargs["responses"].values()))
        except dns.resolver.NoAnswer as error:
            response = error.kwargs["response"]
            return _nothing(response), _negative_ttl_s(response)
        except dns.exception.Timeout:
            return Answer(Status.TIMEOUT), 0.0
        except (dns.exception.DNSException, OSError, ValueError):
            return _NO_ANSWER, 0.0
        # The time to live is the shortest along a chain of aliases.
        ttl_s = found.chaining_result.minimum_ttl
        return Answer(Status.FOUND, tuple(_record(rdata, kind) for rdata in found)), ttl_s


def _resolver(settings: ChecksSettings) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [_nameserver(text) for text in settings.dns_servers or _of_system()]
    resolver.search = []
    resolver.cache = None
    # So that a lost datagram is sent once more, and every nameserver has its turn.
    resolver.timeout = settings.dns_timeout / max(2, len(resolver.nameservers))
    resolver.use_edns(0, 0, _UDP_PAYLOAD)
    return resolver


def _of_system() -> list[str]:
    """The nameservers of this machine, and nothing else of its configuration."""
    try:
        return [str(address) for address in dns.resolver.Resolver(SYSTEM_FILE).nameservers]
    except dns.resolver.NoResolverConfiguration:
        return [_LOCAL]


def _nameserver(text: str) -> BoundedNameserver:
    address, port = text, 53
    if text.startswith("["):
        address, _, number = text[1:].partition("]:")
        port = int(number)
    elif text.count(":") == 1:
        address, _, number = text.partition(":")
        port = int(number)
    return BoundedNameserver(address, port)


def _name(text: str) -> dns.name.Name | None:
    """The name in A-labels; None where DNS can hold none such."""
    text = text.removesuffix(".")
    if not text or len(text) > _NAME_MAX:
        return None
    try:
        if text.isascii():
            # Octet by octet: a backslash of a stranger's is no escape.
            return dns.name.Name([*text.encode("ascii").split(b"."), b""])
        return dns.name.from_text(text, idna_codec=dns.name.IDNA_2008_Practical)
    except (dns.exception.DNSException, UnicodeError, ValueError):
        return None


def _nothing(response: Any) -> Answer:
    """No data; but nameservers without an SOA send us elsewhere (RFC 2308 section 2.2)."""
    kinds = {rrset.rdtype for rrset in response.authority}
    referral = dns.rdatatype.NS in kinds and dns.rdatatype.SOA not in kinds
    return _NO_ANSWER if referral else Answer(Status.NODATA)


def _negative_ttl_s(response: Any) -> float:
    """How long an absence holds: RFC 2308 section 5, the SOA's TTL or its minimum."""
    for rrset in response.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return float(min(rrset.ttl, rrset[0].minimum))
    return 0.0


def _record(rdata: Any, kind: Kind) -> Record:
    """The record in our own words."""
    if kind is Kind.TXT:
        return b"".join(rdata.strings)
    if kind is Kind.MX:
        return rdata.preference, _plain(rdata.exchange)
    if kind is Kind.PTR:
        return _plain(rdata.target)
    return str(rdata.address)


def _plain(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")
