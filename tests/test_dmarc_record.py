"""DMARC policy records: each line names the section of RFC 9989 that it is about."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smtpd.checks.dmarc_record import (
    POLICIES,
    RECORD_BYTES,
    DmarcRecord,
    milder,
    only_record,
    read_record,
)
from smtpd.questions import Record

# A record, and p, sp and np after all rules; then what else it says.
READ = [
    (b"v=DMARC1; p=none", "none none none", "4.7"),
    (b"v=DMARC1; p=quarantine", "quarantine quarantine quarantine", "4.7"),
    (b"v=DMARC1; p=reject", "reject reject reject", "4.7"),
    (b"v=DMARC1;p=reject", "reject reject reject", "4.8 white space is optional"),
    (b"v=DMARC1;p=reject;", "reject reject reject", "4.8 a last semicolon is optional"),
    (b"v=DMARC1;\tp=reject \t; ", "reject reject reject", "4.8 white space about semicolons"),
    (b"v\t= DMARC1 ; p \t=\t reject", "reject reject reject", "4.8 white space about equals"),
    (b"V=DMARC1; P=REJECT", "reject reject reject", "4.8 names and values in any case"),
    (b"v=DMARC1; p=Quarantine; SP=Reject", "quarantine reject reject", "4.8 any case"),
    (b"v=DMARC1; sp=none; p=reject", "reject none none", "4.7 only v has a place"),
    (b"v=DMARC1; p=reject; sp=quarantine", "reject quarantine quarantine", "4.7 sp, np from sp"),
    (b"v=DMARC1; p=none; np=reject", "none none reject", "4.7 np, sp from p"),
    (b"v=DMARC1; p=none; sp=quarantine; np=reject", "none quarantine reject", "4.7 all three"),
    # Without p, or with one that says nothing valid.
    (b"v=DMARC1", "none none none", "4.8 the version alone is a record; 4.7 p=none"),
    (b"v=DMARC1;", "none none none", "4.7 no p"),
    (b"v=DMARC1; rua=mailto:a@example.com", "none none none", "4.7 no p"),
    (b"v=DMARC1; sp=reject", "none reject reject", "4.7 no p"),
    (b"v=DMARC1; p=block", "none none none; does not apply", "4.10.1 p not valid"),
    (b"v=DMARC1; p=", "none none none; does not apply", "4.10.1 p empty"),
    (b"v=DMARC1; p=reject now", "none none none; does not apply", "4.10.1 p not valid"),
    (b"v=DMARC1; p=reject,none", "none none none; does not apply", "4.10.1 p not valid"),
    (b"v=DMARC1; p=rej\xc3\xa9ct", "none none none; does not apply", "4.8 not printable"),
    (b"v=DMARC1; p=reject\xff", "none none none; does not apply", "4.8 not printable"),
    (b"v=DMARC1; p=rej\x00ect", "none none none; does not apply", "4.8 not printable"),
    (b"v=DMARC1; p=reject\r\n", "none none none; does not apply", "4.8 a line end is no WSP"),
    (b"v=DMARC1; p=reject; sp=x", "none none none; does not apply", "4.10.1 sp not valid"),
    (b"v=DMARC1; p=reject; np=x", "none none none; does not apply", "4.10.1 np not valid"),
    (b"v=DMARC1; p=reject; np=", "none none none; does not apply", "4.10.1 np empty"),
    (b"v=DMARC1; p=x; rua=mailto:a@example.com", "none none none", "4.10.1 with rua: p=none"),
    (b"v=DMARC1; p=reject; sp=x; rua=mailto:a@b", "none none none", "4.10.1 with rua: p=none"),
    (b"v=DMARC1; p=reject; np=x; rua=mailto:a@b", "none none none", "4.10.1 with rua: p=none"),
    (b"v=DMARC1; p=x; np=reject; rua=mailto:a@b", "none none none", "4.10.1 np goes with p"),
    (b"v=DMARC1; p=x; ruf=mailto:a@b", "none none none; does not apply", "4.10.1 ruf is not rua"),
    (b"v=DMARC1; p=x; rua=", "none none none; does not apply", "4.10.1 rua without a URI"),
    (b"v=DMARC1; p=x; rua=a@b", "none none none; does not apply", "4.10.1 no URI: no scheme"),
    (b"v=DMARC1; p=x; rua=mailto:", "none none none; does not apply", "4.10.1 nothing in it"),
    (b"v=DMARC1; p=x; rua=1x:a@b", "none none none; does not apply", "RFC 3986 3.1 a scheme"),
    (b"v=DMARC1; p=x; rua=mailto:a b", "none none none; does not apply", "RFC 3986 no spaces"),
    (b"v=DMARC1; p=x; rua=mailto:a%4", "none none none; does not apply", "RFC 3986 2.1"),
    (b"v=DMARC1; p=x; rua=mailto:a%40b", "none none none", "RFC 3986 2.1 percent-encoded"),
    (b"v=DMARC1; p=x; rua=mailto:a@b!10m", "none none none", "4.8 the obsolete size"),
    (b"v=DMARC1; p=x; rua=mailto:a!b@c", "none none none; does not apply", "4.8 ! is encoded"),
    (b"v=DMARC1; p=x; rua=a@b , mailto:c@d", "none none none", "4.10.1 one valid URI is enough"),
    (b"v=DMARC1; p=x; rua=https://r.example/?q", "none none none", "4.7 any URI"),
    # What is not for us, or for nobody.
    (b"v=DMARC1; p=reject; pct=0", "reject reject reject", "A.6 pct is gone"),
    (b"v=DMARC1; p=reject; pct=x; rf=x; ri=x", "reject reject reject", "4.7 rf, ri unknown"),
    (b"v=DMARC1; x=y; p=reject", "reject reject reject", "4.8 unknown tags"),
    (b"v=DMARC1; p2=none; p=reject", "reject reject reject", "4.8 names are letters"),
    (b"v=DMARC1; junk; p=reject", "reject reject reject", "4.8 syntax errors"),
    (b"v=DMARC1;; ;p=reject;;", "reject reject reject", "4.8 syntax errors"),
    (b"v=DMARC1; =reject; p=reject", "reject reject reject", "4.8 syntax errors"),
    (b"v=DMARC1; \xff\xfe=\x00; p=reject", "reject reject reject", "4.8 syntax errors"),
    (b"v=DMARC1; p=reject; fo=1:d:s; ruf=x", "reject reject reject", "4.7 not for us"),
    (b"v=DMARC1; p=reject; v=DMARC2", "reject reject reject", "4.7 v counts once"),
    (b"v=DMARC1; p=reject; p=none", "none none none; does not apply", "RFC 6376 3.2 twice"),
    (b"v=DMARC1; p=reject; P=reject", "none none none; does not apply", "RFC 6376 3.2 twice"),
    (b"v=DMARC1; p=none; psd=y; psd=n", "none none none", "RFC 6376 3.2 twice: the default"),
    # t, psd, adkim, aspf.
    (b"v=DMARC1; p=reject; t=y", "quarantine quarantine quarantine", "4.7 one level less"),
    (b"v=DMARC1; t=Y; p=quarantine", "none none none", "4.7 one level less"),
    (b"v=DMARC1; p=none; t=y", "none none none", "4.7 nothing is less than none"),
    (b"v=DMARC1; p=none; sp=quarantine; np=reject; t=y", "none none quarantine", "4.7 t for all"),
    (b"v=DMARC1; p=reject; t=n", "reject reject reject", "4.7 the default"),
    (b"v=DMARC1; p=reject; t=yes", "reject reject reject", "4.8 the default"),
    (b"v=DMARC1; p=reject; psd=y", "reject reject reject; psd=y", "4.7"),
    (b"v=DMARC1; p=reject; psd=N", "reject reject reject; psd=n", "4.7"),
    (b"v=DMARC1; p=reject; psd=u", "reject reject reject", "4.7"),
    (b"v=DMARC1; p=reject; psd=maybe", "reject reject reject", "4.8 the default"),
    (b"v=DMARC1; psd=n; p=x", "none none none; psd=n; does not apply", "4.10 psd stands alone"),
    (b"v=DMARC1; p=none; adkim=s", "none none none; strict dkim", "4.7"),
    (b"v=DMARC1; p=none; aspf=S", "none none none; strict spf", "4.7"),
    (b"v=DMARC1; p=none; adkim=s; aspf=s", "none none none; strict dkim spf", "4.7"),
    (b"v=DMARC1; p=none; adkim=r; aspf=r", "none none none", "4.7"),
    (b"v=DMARC1; p=none; adkim=strict", "none none none", "4.8 the default"),
    (b"v=DMARC1; p=none; adkim=s; adkim=s", "none none none", "RFC 6376 3.2 twice: the default"),
]

NO_RECORD = [
    (b"", "4.10 step 2"),
    (b"v=DMARC2; p=reject", "4.7 the version"),
    (b"v=DMARC10; p=reject", "4.7 the version"),
    (b"v=dmarc1; p=reject", "4.7 its value is case-sensitive"),
    (b"v=DMARC1 p=reject", "4.8 a semicolon ends it"),
    (b"v=DMARC1, p=reject", "4.8 a semicolon ends it"),
    (b"v=DMARC", "4.7 the version"),
    (b"v=; p=reject", "4.7 the version"),
    (b"v; p=reject", "4.8 equals"),
    (b"DMARC1; p=reject", "4.7 v is there"),
    (b"p=reject; v=DMARC1", "4.7 v comes first"),
    (b"; v=DMARC1; p=reject", "4.7 v comes first"),
    (b" v=DMARC1; p=reject", "4.8 nothing comes before v"),
    (b"\xef\xbb\xbfv=DMARC1; p=reject", "4.8 nothing comes before v"),
    (b'"v=DMARC1; p=reject"', "4.8 nothing comes before v"),
    (b"v=DMARC1\x00; p=reject", "4.7 the version"),
    (b"v=spf1 -all", "4.10 step 2"),
    (b"v=DMARC1;" + b"x" * RECORD_BYTES, "more than anybody publishes"),
]


def told(record: DmarcRecord | None) -> str:
    if record is None:
        return "no record"
    parts = [f"{record.policy} {record.subdomain_policy} {record.nonexistent_policy}"]
    if record.psd != "u":
        parts.append(f"psd={record.psd}")
    if record.strict:
        parts.append(f"strict {' '.join(sorted(record.strict))}")
    if not record.applies:
        parts.append("does not apply")
    return "; ".join(parts)


@pytest.mark.parametrize(("text", "expected", "section"), READ)
def test_a_record_is_read(text: bytes, expected: str, section: str) -> None:
    assert told(read_record(text)) == expected, section


@pytest.mark.parametrize(("text", "section"), NO_RECORD)
def test_what_does_not_begin_as_a_record_is_none(text: bytes, section: str) -> None:
    assert read_record(text) is None, section


def test_the_longest_record_is_still_read() -> None:
    text = b"v=DMARC1; p=reject;".ljust(RECORD_BYTES)
    assert told(read_record(text)) == "reject reject reject"


def test_other_text_beside_a_record_is_dropped() -> None:
    """RFC 9989 section 4.10 step 2."""
    found = only_record([b"v=spf1 -all", b"\xff", b"v=DMARC1; p=reject", b"p=none"])
    assert told(found) == "reject reject reject"


@pytest.mark.parametrize("second", [b"v=DMARC1; p=none", b"v=DMARC1; p=reject", b"v=DMARC1"])
def test_of_several_records_none_counts(second: bytes) -> None:
    """RFC 9989 section 4.10 step 2."""
    assert only_record([b"v=DMARC1; p=reject", second]) is None


def test_records_of_other_types_are_passed_over() -> None:
    records: list[Record] = ["192.0.2.1", (10, "mx.example"), b"v=DMARC1; p=reject"]
    assert told(only_record(records)) == "reject reject reject"


def test_the_milder_policy_asks_for_less() -> None:
    assert milder("reject", "quarantine") == "quarantine"
    assert milder("none", "quarantine") == "none"


_PIECES = st.sampled_from(
    [b"v=DMARC1", b"p=", b"reject", b"np=x", b"psd=y", b";", b"=", b" ", b"\t", b"rua=", b"a:b"]
)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(_PIECES, max_size=30).map(b"".join)))
@example(b"v=DMARC1;" + b"=;" * 2000)
@example(b"v=DMARC1; p=x; rua=" + b"a:!" * 1000)
@example(b"v=DMARC1; p=x; rua=" + b"," * 4000)
def test_any_octets_are_a_record_or_none(text: bytes) -> None:
    record = read_record(text)
    if record is not None:
        policies = (record.policy, record.subdomain_policy, record.nonexistent_policy)
        assert set(policies) <= set(POLICIES)
        assert record.psd in ("y", "n", "u")
        assert record.applies or set(policies) == {"none"}
        assert text[:1] in (b"v", b"V")
        assert b"DMARC1" in text
