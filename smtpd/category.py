"""What kind of mail this is: a closed list, and the evidence for it.

Neighbours: smtpd/robots.py finds it in the header section and the envelope,
handlers/softsigns.py in what the letter says.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Category(enum.StrEnum):
    """One for each mail; a person is the only one who is answered."""

    PERSON = "person"
    AUTO_REPLY = "auto-reply"  # a program answered, to whatever it got
    OUT_OF_OFFICE = "out of office"  # the same, because a person is away
    BOUNCE = "bounce"  # what became of a mail on its way: not delivered, delayed, delivered
    REPORT = "report"  # a complaint, a read receipt, figures of a day
    MAILING_LIST = "mailing list"  # people's words, passed on to many
    NEWSLETTER = "newsletter"  # one sender's words, sent to many
    NOTIFICATION = "notification"  # a program says what happened
    VERIFICATION = "verification"  # a code, a confirmation, a receipt, an order, an invoice
    CALENDAR = "calendar"  # an invitation, or the answer to one
    OURS = "our own mail"


# What a program writes for a program, by its media type: a mail's own, or one of its parts'.
REPORT_TYPES: Mapping[str, Category] = {
    "message/delivery-status": Category.BOUNCE,
    "message/global-delivery-status": Category.BOUNCE,
    "message/disposition-notification": Category.REPORT,
    "message/feedback-report": Category.REPORT,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A mail's category and why it is that; `because` repeats nothing of the mail's text."""

    category: Category
    because: str  # "" for a person: it takes no evidence to be one

    @property
    def from_a_person(self) -> bool:
        return self.category is Category.PERSON


A_PERSON = Kind(Category.PERSON, "")
