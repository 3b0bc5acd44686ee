"""What is read of a mail's own bytes before we say 250; runs in the cell, in one job."""

from __future__ import annotations

from typing import NamedTuple

from smtpd.checks.dkim import DkimCaps, verify
from smtpd.checks.marks import Mark, content_marks
from smtpd.evidence import DkimFinding
from smtpd.questions import Answers


class Content(NamedTuple):
    """The mail's signatures, and its marks of spam."""

    signatures: tuple[DkimFinding, ...]
    marks: tuple[Mark, ...]


def read_content(raw: bytes, answers: Answers, caps: DkimCaps, now: float) -> Content:
    """Both; `answers` are those to dkim.questions, `now` is in seconds since 1970."""
    return Content(verify(raw, answers, caps, now), content_marks(raw))
