"""Examines an arrival; smtpd/policy.py judges what it finds."""

from __future__ import annotations

from smtpd.mail import Arrival, Evidence


class NothingChecked:
    """Stands where SPF, DKIM and DMARC will be checked: says of each that it was not.

    With it no author is ever proven, so UNPROVEN_SENDER decides about all mail of people.
    """

    async def examine(self, arrival: Arrival) -> Evidence:
        """Evidence that holds nothing."""
        return Evidence()
