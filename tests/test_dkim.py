"""DKIM: what verifies, what does not, and with which result it is recorded."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from smtpd.checks.dkim import DkimCaps, questions, verify
from smtpd.checks.dkim_canonical import SignedMail
from smtpd.evidence import DkimFinding
from smtpd.headers import scan
from smtpd.questions import Answer, Kind, Question, Status
from tests.material import material_files

CAPS = DkimCaps(signatures_max=5, rsa_min_bits=1024)
NOW = 1_790_000_000.0
KEY_NAME = "s1._domainkey.example.org"
RSA = rsa.generate_private_key(65537, 2048)
SHORT = rsa.generate_private_key(65537, 1024)  # noqa: S505 (what RFC 8301 still lets pass)
ED = ed25519.Ed25519PrivateKey.generate()

HEAD = (
    b"From: Ada <ada@example.org>\r\nTo: ai@us.example\r\n"
    b"Subject: A  question,\r\n\tfolded \r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
)
BODY = b"Hello  you, \r\n\r\nhow\tare you?\r\n\r\n\r\n"
TAGS = {
    "v": "1",
    "a": "rsa-sha256",
    "c": "relaxed/relaxed",
    "d": "example.org",
    "s": "s1",
    "h": "from:to:subject:date",
}


def der(key: rsa.RSAPrivateKey, form: str = "spki") -> bytes:
    forms = {
        "spki": serialization.PublicFormat.SubjectPublicKeyInfo,
        "pkcs1": serialization.PublicFormat.PKCS1,
    }
    return key.public_key().public_bytes(serialization.Encoding.DER, forms[form])


def record(data: bytes, before: str = "v=DKIM1; k=rsa") -> bytes:
    return f"{before}; p={base64.b64encode(data).decode()}".encode()


RSA_RECORD = record(der(RSA))
ED_RECORD = record(ED.public_key().public_bytes_raw(), "v=DKIM1; k=ed25519")


def answered(*records: bytes, name: str = KEY_NAME) -> dict[Question, Answer]:
    return {Question(name, Kind.TXT): Answer(Status.FOUND, records)}


@dataclass
class Signing:
    """A signer that signs whatever it is told to, right or wrong."""

    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey = field(default_factory=lambda: RSA)
    tags: Mapping[str, str] = field(default_factory=dict)

    def sign(self, head: bytes = HEAD, body: bytes = BODY) -> bytes:
        tags = {**TAGS, **self.tags}
        relaxed_body = tags.get("c", "simple/simple").endswith("/relaxed")
        mail = SignedMail(head + b"\r\n" + body)
        length = int(tags["l"]) if "l" in tags else None
        digest = mail.body_hash(relaxed_body, length)
        tags.setdefault("bh", base64.b64encode(digest).decode())
        text = "; ".join(f"{name}={value}" for name, value in tags.items() if value != "-")
        unsigned = f"DKIM-Signature: {text};\r\n\tb=".encode()
        whole = SignedMail(unsigned + b"\r\n" + head + b"\r\n" + body)
        names = tuple(re.sub(r"\s", "", tags["h"]).lower().split(":"))
        signed = whole.signed(0, names, tags.get("c", "simple").startswith("relaxed"))
        data = base64.b64encode(self._signature(signed))
        folded = b"\r\n\t ".join(data[at : at + 70] for at in range(0, len(data), 70))
        return unsigned + folded + b"\r\n" + head + b"\r\n" + body

    def _signature(self, signed: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        digest = hashes.Hash(hashes.SHA256())
        digest.update(signed)
        return self.key.sign(digest.finalize())


def checked(
    raw: bytes, answers: Mapping[Question, Answer] | None = None, caps: DkimCaps = CAPS
) -> DkimFinding:
    (found,) = verify(raw, answers if answers is not None else answered(RSA_RECORD), caps, NOW)
    return found


# Other people's mail


def parts_of(file: Path) -> tuple[dict[Question, Answer], bytes]:
    """The key records at the top of a file, and the mail below them."""
    top, _, mail = file.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
    answers: dict[Question, Answer] = {}
    for line in top.splitlines():
        name, _, text = line.partition(b" ")
        answers |= answered(text, name=name.decode().lower().rstrip("."))
    return answers, mail.replace(b"\n", b"\r\n")


@pytest.mark.material
@pytest.mark.parametrize("file", material_files("dkim/0*.txt"), ids=lambda file: file.stem)
def test_mail_of_others_verifies_and_a_changed_byte_does_not(file: Path) -> None:
    answers, raw = parts_of(file)
    findings = verify(raw, answers, CAPS, NOW)
    assert {finding.result for finding in findings} == {"pass"}
    changed = raw.rstrip() + b"x\r\n"
    assert {one.result for one in verify(changed, answers, CAPS, NOW)} == {"fail"}


# Ways to sign


@pytest.mark.parametrize("c", ["relaxed/relaxed", "relaxed/simple", "simple/relaxed",
                               "simple/simple", "relaxed", "simple", "-"])  # fmt: skip
@pytest.mark.parametrize("body", [BODY, b"", b"\r\n\r\n", b"no end", b" \t\r\n \r\n", b"x \t"])
def test_every_canonicalisation_verifies(c: str, body: bytes) -> None:
    tags = {"c": c} if c != "-" else {"c": "simple/simple"}
    raw = Signing(tags=tags).sign(body=body)
    if c == "-":
        assert checked(raw.replace(b" c=simple/simple;", b"")).result == "fail"
    assert checked(raw).result == "pass"


@pytest.mark.parametrize(
    ("body", "relaxed", "simple"),
    [
        # RFC 6376 section 3.4.5, and what its rules say of other ends.
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n", b" C \r\nD \t E\r\n"),
        (b"", b"", b"\r\n"),
        (b"\r\n\r\n", b"", b"\r\n"),
        (b" \r\n\t\r\n", b"", b" \r\n\t\r\n"),
        (b"no end", b"no end\r\n", b"no end\r\n"),
        (b"no end \t", b"no end\r\n", b"no end \t\r\n"),
        (b"a\r\n \r\n", b"a\r\n", b"a\r\n \r\n"),
        # A CR alone ends no line.
        (b"a\r\r\n\r\n", b"a\r\r\n", b"a\r\r\n"),
        (b"a \r\r\n", b"a \r\r\n", b"a \r\r\n"),
        (b"\r\n\r", b"\r\n\r\r\n", b"\r\n\r\r\n"),
    ],
)
def test_a_body_has_the_canonical_forms_of_the_standard(
    body: bytes, relaxed: bytes, simple: bytes
) -> None:
    mail = SignedMail(HEAD + b"\r\n" + body)
    assert (mail.body(relaxed=True), mail.body(relaxed=False)) == (relaxed, simple)


def test_a_header_has_the_canonical_form_of_the_standard() -> None:
    mail = SignedMail(b"DKIM-Signature: b= x ; v=1\r\nA: X\r\nB : Y\t\r\n\tZ  \r\n\r\n")
    assert mail.signed(0, ("a", "b"), relaxed=True) == b"a:X\r\nb:Y Z\r\ndkim-signature:b=; v=1"
    assert mail.signed(0, ("a", "b"), relaxed=False) == (
        b"A: X\r\nB : Y\t\r\n\tZ  \r\nDKIM-Signature: b=; v=1"
    )


def test_a_signature_may_sign_others_and_never_itself() -> None:
    mail = SignedMail(b"DKIM-Signature: b=new\r\nDKIM-Signature: b=old\r\n\r\n")
    signed = mail.signed(0, ("dkim-signature", "dkim-signature"), relaxed=True)
    assert signed == b"dkim-signature:b=old\r\ndkim-signature:b="


def test_relaxed_forgives_white_space_and_simple_does_not() -> None:
    for c, expected in (("relaxed/relaxed", "pass"), ("simple/simple", "fail")):
        raw = Signing(tags={"c": c}).sign()
        changed = raw.replace(b"Subject: A  question,", b"SUBJECT : A question,").replace(
            b"how\tare you?\r\n", b"how are   you? \r\n"
        )
        assert checked(changed).result == expected


@pytest.mark.parametrize(
    ("key", "tags", "text"),
    [
        (RSA, {}, RSA_RECORD),
        (RSA, {}, record(der(RSA, "pkcs1"))),
        (RSA, {}, record(der(RSA), "k=rsa")),
        (RSA, {}, record(der(RSA), "v=DKIM1; h=sha1:sha256; s=other : email; t=y:s; n=note")),
        (RSA, {}, RSA_RECORD.replace(b"; ", b" ;\t").replace(b"p=", b"p = \r\n ")),
        (ED, {"a": "ed25519-sha256"}, ED_RECORD),
        (SHORT, {}, record(der(SHORT))),
        (RSA, {"q": "dns/x:dns/txt", "z": "From:x|To:y", "r": "s"}, RSA_RECORD),
        (RSA, {"i": "@sub.example.org"}, RSA_RECORD),
        (RSA, {"i": "=61=64a@EXAMPLE.org"}, RSA_RECORD),
        (RSA, {"x": f"{int(NOW) + 100}", "t": "1700000000"}, RSA_RECORD),
        (RSA, {"x": f"{int(NOW) - 100}"}, RSA_RECORD),
        (RSA, {"t": f"{int(NOW) + 3600}"}, RSA_RECORD),
        (RSA, {"h": "from : From: to:subject:date:list-id"}, RSA_RECORD),
        (RSA, {"l": "9999"}, RSA_RECORD),
    ],
)
def test_what_the_standard_allows_verifies(
    key: rsa.RSAPrivateKey, tags: dict[str, str], text: bytes
) -> None:
    if tags.get("l"):
        tags = {"l": str(len(SignedMail(HEAD + b"\r\n" + BODY).body(True)))}
    found = checked(Signing(key, tags).sign(), answered(text))
    assert (found.result, found.domain) == ("pass", "example.org")


def test_a_finding_says_which_signature_it_is_about() -> None:
    raw = Signing().sign()
    found = checked(raw)
    first = re.search(rb"\tb=(\S{8})", raw)
    assert first is not None
    assert (found.selector, found.algorithm) == ("s1", "rsa-sha256")
    assert found.signature == first[1].decode()


def test_a_key_in_test_is_told_and_changes_no_result() -> None:
    raw, answers = Signing().sign(), answered(record(der(RSA), "v=DKIM1; t=y"))
    for sent, expected in ((raw, "pass"), (raw + b"more\r\n", "fail")):
        found = checked(sent, answers)
        assert (found.result, "test" in found.because) == (expected, True)


def test_the_domain_is_that_of_d_whatever_the_selector_looks_like() -> None:
    raw = Signing(tags={"s": "a._domainkey.example.com"}).sign()
    found = checked(raw, answered(RSA_RECORD, name=f"a._domainkey.example.com.{KEY_NAME[3:]}"))
    assert (found.result, found.domain) == ("pass", "example.org")
    assert found.selector == "a._domainkey.example.com"


@pytest.mark.parametrize(
    ("tags", "text", "expected", "because"),
    [
        ({"a": "rsa-sha1"}, RSA_RECORD, "fail", "rsa-sha1"),
        ({"a": "dsa-sha256"}, RSA_RECORD, "permerror", "algorithm"),
        ({"a": "ed25519-sha256"}, RSA_RECORD, "permerror", "another type"),
        ({"v": "2"}, RSA_RECORD, "permerror", "missing"),
        ({"bh": "-"}, RSA_RECORD, "permerror", "missing"),
        ({"c": "nowsp"}, RSA_RECORD, "permerror", "canonicalisation"),
        ({"h": "to:subject"}, RSA_RECORD, "permerror", "From"),
        ({"h": "from:a b"}, RSA_RECORD, "permerror", "list"),
        ({"q": "http"}, RSA_RECORD, "permerror", "DNS"),
        ({"i": "@example.com"}, RSA_RECORD, "permerror", "below"),
        ({"i": "@notexample.org"}, RSA_RECORD, "permerror", "below"),
        ({"i": "example.org"}, RSA_RECORD, "permerror", "below"),
        ({"x": "1700000000"}, RSA_RECORD, "fail", "expired"),
        ({"x": "1700000000", "t": "1700000000"}, RSA_RECORD, "permerror", "before it was made"),
        ({"t": "x", "x": "5"}, RSA_RECORD, "permerror", "number"),
        ({"t": f"{int(NOW) + 90_000}"}, RSA_RECORD, "permerror", "future"),
        ({"c": "relaxed/"}, RSA_RECORD, "permerror", "canonicalisation"),
        ({"n": "a\x1bb"}, RSA_RECORD, "permerror", "tags"),
        ({"s": "s" * 63, "d": ".".join(["d" * 60] * 4)}, RSA_RECORD, "permerror", "DNS"),
        ({"l": "5"}, RSA_RECORD, "policy", "unsigned"),
        ({"l": "99999"}, RSA_RECORD, "permerror", "more of the body"),
        ({"v": "1; v=1"}, RSA_RECORD, "permerror", "tags"),
        ({"bh": "!!!!"}, RSA_RECORD, "permerror", "base64"),
        ({"bh": "AAAA"}, RSA_RECORD, "fail", "body"),
        ({}, record(b""), "permerror", "revoked"),
        ({}, record(der(RSA), "v=DKIM2"), "permerror", "no key"),
        ({}, record(der(RSA), "k=rsa; v=DKIM1"), "permerror", "version"),
        ({}, record(der(RSA), "k=ed25519"), "permerror", "another type"),
        ({}, record(der(RSA), "h=sha1"), "permerror", "hash"),
        ({}, record(der(RSA), "s=other:tlsrpt"), "permerror", "not for mail"),
        ({}, record(b"\x30\x03\x02\x01\x01"), "permerror", "cannot be read"),
        ({}, record(b"x" * 300), "permerror", "cannot be read"),
        ({}, b"v=spf1 -all", "permerror", "no key"),
        ({}, b"p=" + b"A" * 9000, "permerror", "no key"),
        ({}, record(der(SHORT)), "fail", "header"),
        ({"i": "@sub.example.org"}, record(der(RSA), "t=s"), "fail", "itself"),
    ],
)
def test_what_does_not_count_says_why(
    tags: dict[str, str], text: bytes, expected: str, because: str
) -> None:
    found = checked(Signing(tags=tags).sign(), answered(text))
    assert found.result == expected
    assert because in found.because


def test_a_key_shorter_than_we_ask_for_is_told_from_a_wrong_one() -> None:
    caps = DkimCaps(signatures_max=5, rsa_min_bits=2048)
    found = checked(Signing(SHORT).sign(), answered(record(der(SHORT))), caps)
    assert (found.result, "short" in found.because) == ("policy", True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(Status.SERVFAIL), "temperror"),
        (Answer(Status.TIMEOUT), "temperror"),
        (Answer(Status.NXDOMAIN), "permerror"),
        (Answer(Status.NODATA), "permerror"),
        (Answer(Status.FOUND, (RSA_RECORD, RSA_RECORD)), "permerror"),
        (Answer(Status.FOUND, (b"v=spf1 -all", RSA_RECORD)), "pass"),
        (Answer(Status.FOUND, (b"v=DMARC1; p=none", RSA_RECORD)), "pass"),
    ],
)
def test_only_an_answer_that_did_not_come_is_temporary(answer: Answer, expected: str) -> None:
    assert checked(Signing().sign(), {Question(KEY_NAME, Kind.TXT): answer}).result == expected


# What may not be added


def insert(name: bytes, before: bytes) -> Callable[[bytes], bytes]:
    return lambda raw: raw.replace(before, name + b": added\r\n" + before, 1)


@pytest.mark.parametrize(
    ("h", "change", "expected"),
    [
        ("from:to:subject:date", insert(b"Subject", b"Subject:"), "pass"),
        ("from:to:subject:date", insert(b"Subject", b"Date:"), "fail"),
        ("from:from:subject:subject", insert(b"Subject", b"Subject:"), "fail"),
        ("from:from:subject:subject", insert(b"From", b"From:"), "fail"),
        ("from:cc:cc", insert(b"Cc", b"From:"), "fail"),
        ("from:to", insert(b"Cc", b"From:"), "pass"),
    ],
)
def test_an_added_field_breaks_what_is_signed_once_more_than_it_occurs(
    h: str, change: Callable[[bytes], bytes], expected: str
) -> None:
    assert checked(change(Signing(tags={"h": h}).sign())).result == expected


def test_of_fields_with_one_name_the_lowest_is_signed_first() -> None:
    head = HEAD + b"X-Trace: old\r\n"
    raw = Signing(tags={"h": "from:x-trace"}).sign(head)
    assert checked(b"X-Trace: new\r\n" + raw).result == "pass"
    assert checked(raw.replace(b"X-Trace: old", b"X-Trace: new")).result == "fail"


def test_every_signature_up_to_the_cap_has_a_finding_and_its_own_question() -> None:
    raw = HEAD + b"\r\n" + BODY
    for number in range(8):
        signed = Signing(tags={"s": f"s{number}", "h": "from"}).sign(
            raw.partition(b"\r\n\r\n")[0] + b"\r\n"
        )
        raw = signed
    asked = questions(scan(raw), CAPS)
    assert [one.name.partition(".")[0] for one in asked] == ["s7", "s6", "s5", "s4", "s3"]
    answers = {one: Answer(Status.FOUND, (RSA_RECORD,)) for one in asked}
    assert [one.result for one in verify(raw, answers, CAPS, NOW)] == ["pass"] * 5


def test_each_signature_is_about_as_much_of_the_body_as_it_says() -> None:
    inner = Signing(tags={"l": "5"}).sign()
    whole = Signing(tags={"s": "s2"}).sign(inner.partition(b"\r\n\r\n")[0] + b"\r\n")
    answers = answered(RSA_RECORD) | answered(RSA_RECORD, name=f"s2{KEY_NAME[2:]}")
    assert [one.result for one in verify(whole, answers, CAPS, NOW)] == ["pass", "policy"]


@pytest.mark.parametrize(
    ("d", "s", "expected"),
    [
        ("EXAMPLE.org", "S1", "s1._domainkey.example.org"),
        ("b\u00fccher.example", "s1", "s1._domainkey.xn--bcher-kva.example"),
        ("B\u00dcCHER.example", "s1", "s1._domainkey.xn--bcher-kva.example"),
        ("example.org", "a.b", "a.b._domainkey.example.org"),
        # Soft hyphens are nothing in a name.
        ("exa\u00admple.org", "s1", KEY_NAME),
        ("exa" + "\u00ad" * 600 + "mple.org", "s1", None),
        ("example..org", "s1", None),
        ("exa mple.org", "s1", None),
        ("example.org", "s\\046x", None),
        ("a" * 64, "s1", None),
        (".".join(["a" * 60] * 4), "s" * 60, None),
    ],
)  # fmt: skip
def test_a_key_is_asked_for_only_where_dns_could_know_it(
    d: str, s: str, expected: str | None
) -> None:
    head = f"DKIM-Signature: v=1; d={d}; s={s}; a=x; b=y; bh=z; h=from\r\n".encode() + HEAD
    asked = questions(scan(head + b"\r\n"), CAPS)
    assert [one.name for one in asked] == ([expected] if expected else [])


def test_mail_with_line_ends_of_its_own_verifies_as_it_was_signed() -> None:
    assert checked(Signing().sign().replace(b"\r\n", b"\n")).result == "pass"
