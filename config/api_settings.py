"""The settings of the HTTP API: a branch of the tree in config/settings.py."""

from __future__ import annotations

from pydantic import Field

from config.branch import Branch
from config.fields import Host


class ApiSettings(Branch):
    """The HTTP API, for programs that have a key."""

    api_host: Host = Field(
        default="127.0.0.1",
        description="Address the HTTP API binds; on any other, let a proxy bring TLS before it.",
    )
    api_port: int = Field(
        default=8002, ge=0, le=65535, description="Port the HTTP API binds; 0 is no API."
    )
    api_requests_per_minute: int = Field(
        default=120,
        ge=1,
        le=100000,
        description="Requests a minute with one key, and without a right key from one address.",
    )
