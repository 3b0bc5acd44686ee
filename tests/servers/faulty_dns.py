"""A nameserver with faults, by the first label of the name that is asked for."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from io import BufferedIOBase
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.servers.process import HOST, free_port

_LATE_S = 2.0  # beyond the patience of whoever tests with half a second
_BETWEEN_BYTES_S = 0.1
_SOA = "ns.test. hostmaster.test. 1 2 3 4 40"

Fault = Callable[[dns.message.Message, bool], list[bytes]]


def _answer(query: dns.message.Message, *texts: str, name: str = "") -> dns.message.Message:
    """A right answer with these TXT records, of another name where one is given."""
    answer = dns.message.make_response(query)
    owner = dns.name.from_text(name) if name else query.question[0].name
    if texts:
        answer.answer.append(dns.rrset.from_text_list(owner, 60, "IN", "TXT", list(texts)))
    return answer


def _coded(code: dns.rcode.Rcode, kind: str = "", authority: str = "") -> Fault:
    def fault(query: dns.message.Message, _tcp: bool) -> list[bytes]:
        answer = dns.message.make_response(query)
        answer.set_rcode(code)
        if kind:
            answer.authority.append(dns.rrset.from_text("test.", 90, "IN", kind, authority))
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
    answer.answer.append(dns.rrset.from_text(asked, 20, "IN", "CNAME", "end.test."))
    answer.answer.append(dns.rrset.from_text("end.test.", 3000, "IN", "TXT", '"at the end"'))
    return [answer.to_wire()]


def _by_tcp(wire: Callable[[dns.message.Message], bytes]) -> Fault:
    """By UDP only a hint to come by TCP."""

    def fault(query: dns.message.Message, tcp: bool) -> list[bytes]:
        return [wire(query)] if tcp else _truncated(query, tcp)

    return fault


def _late(query: dns.message.Message, _tcp: bool) -> list[bytes]:
    time.sleep(_LATE_S)
    return [_answer(query, '"late"').to_wire()]


def _wrong_id(query: dns.message.Message) -> bytes:
    return _wrong_id_first(query, True)[0]


def _another_question(query: dns.message.Message) -> bytes:
    return _another_question_first(query, True)[0]


def _still_truncated(query: dns.message.Message) -> bytes:
    return _truncated(query, False)[0]


def _loop(query: dns.message.Message, _tcp: bool) -> list[bytes]:
    answer = dns.message.make_response(query)
    asked = query.question[0].name
    answer.answer.append(dns.rrset.from_text(asked, 60, "IN", "CNAME", "loop2.test."))
    answer.answer.append(dns.rrset.from_text("loop2.test.", 60, "IN", "CNAME", asked.to_text()))
    return [answer.to_wire()]


_many = _with(*(f'"record {number}"' for number in range(200)))

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
    "many": _many,
    "chain": _chain,
    "loop": _loop,
    "found": _with('"found"'),
    "elsewhere": _with('"right"'),  # and a forged one from another port before it
    "lost": _with('"sent again"'),  # the first question gets no answer
    "nodata": _coded(dns.rcode.NOERROR, "SOA", _SOA),
    "absent": _coded(dns.rcode.NXDOMAIN, "SOA", _SOA),
    "bare": _coded(dns.rcode.NOERROR),
    "lame": _coded(dns.rcode.NOERROR, "NS", "ns.elsewhere.test."),
    "still-truncated": _by_tcp(_still_truncated),
    "late": _late,
    "tcp-drips": _by_tcp(lambda query: _answer(query, '"drop by drop"').to_wire()),
    "tcp-wrong-id": _by_tcp(_wrong_id),
    "tcp-other-question": _by_tcp(_another_question),
    "tcp-garbage": _by_tcp(lambda query: struct.pack("!H", query.id) + b"\xff" * 40),
    "tcp-nothing": _by_tcp(lambda _query: b""),
    "tcp-many": _by_tcp(lambda query: _many(query, False)[0]),
    "tcp-closes": lambda query, tcp: [] if tcp else _truncated(query, tcp),
}


class FaultyDns:
    """Serves on loopback by UDP and TCP between `with` and its end; counts what was asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        asked = self.asked

        class ByUdp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, connection = self.request
                if b"elsewhere" in data:
                    _forge(data, self.client_address)
                for wire in _react(data, tcp=False, asked=asked):
                    connection.sendto(wire, self.client_address)

        class ByTcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                size = struct.unpack("!H", self.rfile.read(2))[0]
                data = self.rfile.read(size)
                for wire in _react(data, tcp=True, asked=asked):
                    message = struct.pack("!H", len(wire)) + wire
                    _write(self.wfile, message, slowly=b"tcp-drips" in data)

        self.port = free_port()
        self._udp = socketserver.ThreadingUDPServer((HOST, self.port), ByUdp)
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
    if label == "lost" and asked[label] == 1:
        return []
    return FAULTS.get(label, _coded(dns.rcode.NXDOMAIN))(query, tcp)


def _write(stream: BufferedIOBase, message: bytes, *, slowly: bool) -> None:
    """Whole, or a byte at a time for as long as somebody listens."""
    if not slowly:
        stream.write(message)
        return
    with contextlib.suppress(OSError):
        for octet in message:
            stream.write(bytes((octet,)))
            time.sleep(_BETWEEN_BYTES_S)


def _forge(data: bytes, asker: tuple[str, int]) -> None:
    """A reply with the right id, but not from where the question went."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        wire = _answer(dns.message.from_wire(data), '"forged"').to_wire()
        elsewhere.sendto(wire, asker)
