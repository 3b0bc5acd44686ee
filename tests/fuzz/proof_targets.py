"""Targets that read what proves an author: records of SPF, DKIM and DMARC, signatures, results."""

from __future__ import annotations

from smtpd.checks.dkim import DkimCaps, questions, verify
from smtpd.checks.dmarc_record import POLICIES, RECORD_BYTES, read_record
from smtpd.checks.marks import SCORE_MAX, Mark, built_in, content_marks
from smtpd.checks.spf_evaluator import SpfCaps, evaluate
from smtpd.evidence import Evidence, Result
from smtpd.headers import HeadersTooLarge, scan
from smtpd.questions import Answer, Kind, Question, Status
from smtpd.trace import authserv_id
from tests.arrivals import arrival

DKIM_CAPS = DkimCaps(signatures_max=3, rsa_min_bits=1024)
SPF_CAPS = SpfCaps(record_max_bytes=2048, queries_max=40)
CLIENT = "192.0.2.7"
# Whatever a signature names, this is what DNS says of it.
KEY = Answer(Status.FOUND, (b"v=DKIM1; k=ed25519; p=" + b"A" * 43 + b"=",))


def spf(data: bytes) -> None:
    """A record at every name that is asked for, until the evaluator has enough."""
    record, _, local = data.partition(b"\0")
    sender = f"{local.decode('latin-1') or 'ada'}@example.org"
    answers: dict[Question, Answer] = {}
    for _ in range(3 * SPF_CAPS.queries_max):
        evaluated = evaluate(CLIENT, sender, "mx.example.org", answers, SPF_CAPS)
        if not evaluated.missing:
            break
        assert not set(evaluated.missing) & set(answers)
        answers |= {one: _answer(one, record) for one in evaluated.missing}
    assert not evaluated.missing
    assert evaluated.mail_from.result in Result
    assert len(answers) <= 2 * SPF_CAPS.queries_max + 2
    if len(record) > SPF_CAPS.record_max_bytes:
        assert evaluated.mail_from.result in (Result.PERMERROR, Result.NONE)


def _answer(question: Question, record: bytes) -> Answer:
    if question.kind is Kind.TXT:
        return Answer(Status.FOUND, (record,))
    if question.kind is Kind.MX:
        return Answer(Status.FOUND, ((10, "mx.example.org"),))
    return Answer(Status.FOUND, ("mx.example.org" if question.kind is Kind.PTR else "192.0.2.9",))


def dkim(data: bytes) -> None:
    """A mail with signatures: nobody signed it with this key, so none of them passes."""
    try:
        asked = questions(scan(data, len(data)), DKIM_CAPS)
    except HeadersTooLarge:
        return
    assert len(asked) <= DKIM_CAPS.signatures_max
    for question in asked:
        assert question.name == question.name.lower()
        assert len(question.name) <= 253
        assert all(0 < len(label) < 64 for label in question.name.split("."))
    for finding in verify(data, dict.fromkeys(asked, KEY), DKIM_CAPS, 1.8e9):
        assert finding.result in (Result.FAIL, Result.PERMERROR)
        assert finding.because


def dkim_key(data: bytes) -> None:
    """A key record: whatever it holds, it does not make a signature by another key pass."""
    answers = {question: Answer(Status.FOUND, (data,)) for question in _ASKED}
    for finding in verify(SIGNED, answers, DKIM_CAPS, 1.8e9):
        assert finding.result in (Result.FAIL, Result.PERMERROR, Result.POLICY)


def dmarc(data: bytes) -> None:
    """A DMARC record."""
    record = read_record(data)
    if record is None:
        return
    assert len(data) <= RECORD_BYTES
    assert data.lower().replace(b" ", b"").replace(b"\t", b"").startswith(b"v=dmarc1")
    for policy in (record.policy, record.subdomain_policy, record.nonexistent_policy):
        assert policy in POLICIES
    assert record.psd in ("y", "n", "u")
    assert record.strict <= {"spf", "dkim"}


def results(data: bytes) -> None:
    """The value of an Authentication-Results field."""
    claimed = authserv_id(data.decode("latin-1"))
    assert claimed == claimed.lower()
    assert not claimed.endswith(".")


def marks(data: bytes) -> None:
    """Marks of spam in a mail."""
    try:
        found = content_marks(data)
    except HeadersTooLarge:
        return
    assert set(found) <= set(Mark)
    assert len(set(found)) == len(found)
    assert 0 <= built_in(found, arrival(), Evidence()).score <= SCORE_MAX


SIGNED = (
    b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=s1;\r\n"
    b" h=from:subject; bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=;\r\n b=QUJDREVGR0g=\r\n"
    b"DKIM-Signature: v=1; a=ed25519-sha256; d=example.org; s=s2; i=ada@example.org;\r\n"
    b" h=from; bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=; b=QUJDREVGR0g=\r\n"
    b"From: ada@example.org\r\nSubject: x\r\n\r\n"
)
_ASKED = questions(scan(SIGNED), DKIM_CAPS)
PROOF_TARGETS = {
    "spf": spf,
    "dkim": dkim,
    "dkim_key": dkim_key,
    "dmarc": dmarc,
    "results": results,
    "marks": marks,
}
PROOF_SEEDS = {
    "spf": (
        b"v=spf1 a mx ip4:192.0.2.0/24 ip6:2001:db8::/32 include:a.example ~all",
        b"v=spf1 exists:%{ir}.%{v}.%{l1r-}.%{d2} ptr:example.org redirect=%{d} exp=x.example\0a-b",
        b"v=spf1 -all",
    ),
    "dkim": (SIGNED,),
    "dkim_key": (
        b"v=DKIM1; k=rsa; h=sha256; s=email; t=y:s; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDk",
        b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    ),
    "dmarc": (
        b"v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=r; t=y; psd=n; "
        b"rua=mailto:dmarc@example.org,https://x.example/; fo=1",
        b"v=DMARC1;p=none",
    ),
    "results": (
        b"(a (comment)) mx.us.example 1; spf=pass smtp.mailfrom=example.org; dkim=none",
        b'"mx.us\\.example"; none',
    ),
}
