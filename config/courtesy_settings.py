"""The settings of silence and pace: two branches of the tree in config/settings.py."""

from __future__ import annotations

from pydantic import Field

from config.branch import Branch
from config.fields import OptionalPlainAddress


class CourtesySettings(Branch):
    """When an answer has to wait, or a person has to decide."""

    fuse_per_sender: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Answers an hour to one sender, after which their mail is held; empty: twice "
        "the sender's rate.",
    )
    fuse_per_sender_per_day: int = Field(
        default=30,
        ge=1,
        description="Answers a day to one sender without a sign of a person, after which their "
        "mail is held.",
    )
    fuse_per_day: int | None = Field(
        default=None,
        ge=1,
        description="Answers a day to all, after which mail is held; empty: as many as "
        "MAX_EMAILS_PER_HOUR gives in twelve hours.",
    )
    fuse_per_domain: int = Field(
        default=10,
        ge=1,
        le=100_000,
        description="Answers an hour to one domain with few senders, after which its mail is held.",
    )
    fuse_domain_senders: int = Field(
        default=5,
        ge=1,
        description="With so many senders on as many subjects in 30 days a domain has no fuse.",
    )
    fuse_per_thread: int = Field(
        default=6,
        ge=1,
        le=1000,
        description="Answers in one conversation without a sign of a person, after which it is "
        "held.",
    )
    fuse_per_thread_per_day: int = Field(
        default=30, ge=1, le=1000, description="Answers a day in one conversation, whoever writes."
    )
    fuse_first_contact: int = Field(
        default=2,
        ge=0,
        le=1000,
        description="Answers in three hours on one subject, without a sign of a person, to a "
        "sender who never wrote before; 0 sets no bound.",
    )
    fuse_similar: int = Field(
        default=2,
        ge=1,
        description="Mails of one conversation that may say nearly the same; the next is held.",
    )
    sender_waiting_max: int = Field(
        default=20,
        ge=0,
        description="Mails of one sender that may wait for their answers, the next are held; "
        "0 is no limit.",
    )
    burst_window: int = Field(
        default=0,
        ge=0,
        le=3600,
        description="Seconds a mail waits for others of its conversation, to be answered together.",
    )
    hold_days: int = Field(
        default=7, ge=1, le=3650, description="Days a held mail waits for a person's decision."
    )


class OperatorSettings(Branch):
    """Whom the house tells when it needs a person."""

    operator_address: OptionalPlainAddress = Field(
        default="",
        description="Mailbox of the person who runs this house, at another domain; empty tells "
        "the log alone.",
    )
    operator_digest_hour: int = Field(
        default=7, ge=0, le=23, description="Hour of the day (UTC) of the daily digest."
    )
    operator_mails_per_hour: int = Field(
        default=12, ge=1, description="Mails an hour to the operator, the digest aside."
    )
    operator_down_minutes: int = Field(
        default=10,
        ge=1,
        le=10_080,
        description="Minutes that the relay or the AI core may be away before the operator hears.",
    )
