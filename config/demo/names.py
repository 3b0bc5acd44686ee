"""The demonstration's DNS: a few records on a loopback port, and no name beyond them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL_S = 60


@dataclass(slots=True)
class Names(asyncio.DatagramProtocol):
    """A nameserver over UDP, between `start()` and `stop()`: TXT records by name."""

    texts: Mapping[str, str]  # names in lower case without the last dot
    _transport: asyncio.DatagramTransport | None = field(default=None, init=False)

    async def start(self) -> int:
        """Bind 127.0.0.1 and give the port."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        return int(self._transport.get_extra_info("sockname")[1])

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        try:
            answer = self._answer(dns.message.from_wire(data))
        except (dns.exception.DNSException, IndexError):
            return
        if self._transport is not None:
            self._transport.sendto(answer.to_wire(), address)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        asked = query.question[0]
        text = self.texts.get(asked.name.to_text(omit_final_dot=True).lower())
        if text is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif asked.rdtype == dns.rdatatype.TXT:
            # One string of a TXT record holds 255 bytes, RFC 1035 section 3.3.
            strings = " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))
            answer.answer.append(dns.rrset.from_text(asked.name, TTL_S, "IN", "TXT", strings))
        return answer
