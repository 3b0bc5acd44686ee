"""A nameserver with faults, by the first label of the name that is asked for."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Callable
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.servers.process import HOST

Fault = Callable[[dns.message.Message, bool], list[bytes]]


def _answer(query: dns.message.Message, *texts: str, name: str = "") -> dns.message.Message:
    """A right answer with these TXT records, of another name where one is given."""
    answer = dns.message.make_response(query)
    owner = dns.name.from_text(name) if name else query.question[0].name
    if texts:
        answer.answer.append(dns.rrset.from_text_list(owner, 60, "IN", "TXT", list(texts)))
    return answer


def _coded(code: dns.rcode.Rcode) -> Fault:
    def fault(query: dns.message.Message, _tcp: bool) -> list[bytes]:
        answer = dns.message.make_response(query)
        answer.set_rcode(code)
        return [answer.to_wire()]

    return fault


def _with(*texts: str) -> Fault:
    return lambda query, _tcp: [_answer(query, *texts).to_wire(max_size=65535)]


def _truncated(query: dns.message.Message, tcp: bool) -> list[bytes]:
    answer = _answer(query, *(['"by TCP"'] if tcp else []))
    if not tcp:
        answer.flags |= dns.flags.TC
    return [answer.to_wire()]


def _wrong_id_first(query: dns.message.Message, _tcp: bool) -> list[bytes]:
    right = _answer(query, '"right"').to_wire()
    wrong = _answer(query, '"forged"').to_wire()
    return [bytes([wrong[0] ^ 1]) + wrong[1:], right]


def _another_question_first(query: dns.message.Message, _tcp: bool) -> list[bytes]:
    other = dns.message.make_query("other.test", "TXT")
    other.id = query.id
    return [_answer(other, '"forged"').to_wire(), _answer(query, '"right"').to_wire()]


def _of_another_name(query: dns.message.Message, _tcp: bool) -> list[bytes]:
    return [_answer(query, '"forged"', name="other.test.").to_wire()]


def _chain(query: dns.message.Message, _tcp: bool) -> list[bytes]:
    answer = dns.message.make_response(query)
    asked = query.question[0].name
    answer.answer.append(dns.rrset.from_text(asked, 60, "IN", "CNAME", "end.test."))
    answer.answer.append(dns.rrset.from_text("end.test.", 60, "IN", "TXT", '"at the end"'))
    return [answer.to_wire()]


def _loop(query: dns.message.Message, _tcp: bool) -> list[bytes]:
    answer = dns.message.make_response(query)
    asked = query.question[0].name
    answer.answer.append(dns.rrset.from_text(asked, 60, "IN", "CNAME", "loop2.test."))
    answer.answer.append(dns.rrset.from_text("loop2.test.", 60, "IN", "CNAME", asked.to_text()))
    return [answer.to_wire()]


FAULTS: dict[str, Fault] = {
    "servfail": _coded(dns.rcode.SERVFAIL),
    "refused": _coded(dns.rcode.REFUSED),
    "formerr": _coded(dns.rcode.FORMERR),
    "silent": lambda _query, _tcp: [],
    "truncated": _truncated,
    "wrong-id": _wrong_id_first,
    "other-question": _another_question_first,
    "other-name": _of_another_name,
    "garbage": lambda query, _tcp: [struct.pack("!H", query.id) + b"\xff" * 40],
    "strings": _with('"v=spf1 " "ip4:192.0.2.1" " -all"'),
    "octets": _with('"b\\252cher \\000 \\255"'),
    "huge": _with(" ".join(f'"{"x" * 250}"' for _ in range(70))),
    "many": _with(*(f'"record {number}"' for number in range(200))),
    "chain": _chain,
    "loop": _loop,
    "found": _with('"found"'),
}


class FaultyDns:
    """Serves on loopback by UDP and TCP between `with` and its end; counts what was asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        asked = self.asked

        class ByUdp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, connection = self.request
                for wire in _react(data, tcp=False, asked=asked):
                    connection.sendto(wire, self.client_address)

        class ByTcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                size = struct.unpack("!H", self.rfile.read(2))[0]
                for wire in _react(self.rfile.read(size), tcp=True, asked=asked):
                    self.wfile.write(struct.pack("!H", len(wire)) + wire)

        self._udp = socketserver.ThreadingUDPServer((HOST, 0), ByUdp)
        self.port = int(self._udp.server_address[1])
        self._tcp = socketserver.ThreadingTCPServer((HOST, self.port), ByTcp)
        self._servers = (self._udp, self._tcp)

    @property
    def address(self) -> str:
        """As DNS_SERVERS wants it."""
        return f"{HOST}:{self.port}"

    def __enter__(self) -> Self:
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _react(data: bytes, *, tcp: bool, asked: Counter[str]) -> list[bytes]:
    query = dns.message.from_wire(data)
    label = query.question[0].name.labels[0].decode().lower()
    asked[label] += 1
    return FAULTS.get(label, _coded(dns.rcode.NXDOMAIN))(query, tcp)
