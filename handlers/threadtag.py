"""The +tag by which an answer finds its conversation, whatever a relay did to Message-IDs.

    ai+c-<thread id>@our domain

It opens nothing: whoever writes there must belong to the conversation. Pure.
"""

from __future__ import annotations

from smtpd.addresses import domain_of, local_of

_MARK = "c-"


def tagged(address: str, thread_id: str) -> str:
    """The address with the conversation's tag."""
    return f"{local_of(address)}+{_MARK}{thread_id}@{domain_of(address)}"


def thread_of(address: str) -> str:
    """The conversation that the address names, "" where it names none."""
    tag = local_of(address).partition("+")[2]
    return tag.removeprefix(_MARK) if tag.startswith(_MARK) else ""
