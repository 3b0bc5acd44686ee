"""What the checks found out about a mail: facts, no opinion. Neighbours: smtpd/checks/ finds
them, smtpd/policy.py judges them, smtpd/trace.py writes them into the mail.

Every `because` is for our log and `explain`, never for the peer, and holds no address.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Result(enum.StrEnum):
    """Authentication results, in the words of RFC 8601 section 2.7, and one of our own."""

    NOT_CHECKED = "not checked"
    NONE = "none"
    PASS = "pass"  # noqa: S105 (a result, not a password)
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    POLICY = "policy"  # valid, and yet not good enough for us
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpfFinding:
    """One identity's SPF result (RFC 7208)."""

    result: Result = Result.NOT_CHECKED
    domain: str = ""  # in A-labels and lower case, "" where the identity has none
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DkimFinding:
    """One signature's result (RFC 6376)."""

    result: Result
    domain: str = ""  # d=, in A-labels and lower case
    selector: str = ""  # s=
    algorithm: str = ""  # a=
    signature: str = ""  # the first eight characters of b=, RFC 6008
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcFinding:
    """What DMARC (RFC 9989) says of the author's domain."""

    result: Result = Result.NOT_CHECKED
    domain: str = ""  # the author's, in A-labels
    organisation: str = ""  # its organisational domain
    record_at: str = ""  # the domain whose record applies, "" where there is none
    policy: str = ""  # what that record asks for: none, quarantine, reject
    because: str = ""


class Scan(enum.StrEnum):
    """What the virus scanner made of a mail."""

    NOT_CHECKED = "not checked"  # no scanner is configured
    CLEAN = "clean"
    FOUND = "found"
    TOO_LARGE = "too large"  # for the scanner
    AWAY = "away"  # it is configured, and gave no answer


@dataclass(frozen=True, slots=True, kw_only=True)
class VirusFinding:
    """The scanner's word, and what it calls what it found."""

    scan: Scan = Scan.NOT_CHECKED
    name: str = ""


BY_OURSELVES = "built-in"  # the light score, where spamd gave none


@dataclass(frozen=True, slots=True, kw_only=True)
class SpamFinding:
    """How much a mail looks like spam, and by whose measure."""

    score: float = 0.0
    by: str = ""  # spamd or built-in, "" where nobody looked
    signs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What DNS, mathematics and scanners say about an arrival."""

    spf: SpfFinding = field(default_factory=SpfFinding)  # of MAIL FROM
    helo: SpfFinding = field(default_factory=SpfFinding)
    dkim: tuple[DkimFinding, ...] = ()
    dmarc: DmarcFinding = field(default_factory=DmarcFinding)
    aligned: bool = False  # a passed SPF or DKIM identity belongs to the author's domain
    proven_by: str = ""  # spf, dkim or both
    undecided: bool = False  # a DNS query without an answer could still give an aligned pass
    client_known: bool = True  # the client's own address is known, not a gateway's
    null_mx: bool = False  # MAIL FROM's domain says that it takes no mail (RFC 7505)
    virus: VirusFinding = field(default_factory=VirusFinding)
    spam: SpamFinding = field(default_factory=SpamFinding)
