"""Postfix that takes mail into its hold queue: durable, and nothing after that."""

from __future__ import annotations

from tests.servers.postfix import PostfixRelay


class HoldingPostfix(PostfixRelay):
    """The measure for taking mail: the queue file is synced before 250, and stays.

    Room for 200 sessions, and no pauses of its own.
    """

    def _write_settings(self, changes: dict[str, str]) -> None:
        held = {
            "smtpd_client_restrictions": "check_client_access static:HOLD",
            "default_process_limit": "250",
            "smtpd_client_connection_count_limit": "0",
            "in_flow_delay": "0",
        }
        super()._write_settings({**held, **changes})
