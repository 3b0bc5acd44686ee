"""Where the database and Redis are, as their clients want it told."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from config.settings import QueueSettings, SettingsError, StoreSettings

SQLITE_FILE = "answermx.sqlite3"

# What libpq calls sslmode; asyncpg takes the same words as its `ssl` argument.
SSL_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """What create_async_engine needs. `url` hides its password when printed."""

    url: URL
    connect_args: dict[str, object] = field(default_factory=dict)
    is_sqlite: bool


def database(settings: StoreSettings) -> Database:
    """DATABASE_URL in SQLAlchemy's words, or SQLite in EMAIL_DATA_DIR where it is empty.

    Raises SettingsError for a URL that is neither PostgreSQL's nor a SQLite file's.
    """
    text = settings.database_url.get_secret_value()
    if not text:
        return _sqlite(str(settings.email_data_dir / SQLITE_FILE))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "DATABASE_URL cannot be read; write postgresql://user:password@host:port/name, "
            "with special characters of the password as %XX."
        ) from None
    if url.drivername in {"postgresql", "postgres"}:
        return _postgresql(url, settings)
    if url.drivername == "sqlite":
        return _sqlite(_file_of(url))
    raise SettingsError("DATABASE_URL must begin with postgresql:// or sqlite:///.")


def _sqlite(path: str) -> Database:
    return Database(url=URL.create("sqlite+aiosqlite", database=path), is_sqlite=True)


def _file_of(url: URL) -> str:
    path = url.database or ""
    if path in {"", ":memory:"} or url.host or url.query:
        # A database in memory would break the promise that 250 is durable.
        raise SettingsError("DATABASE_URL must name a file when it is SQLite's: sqlite:///path.")
    return path


def _postgresql(url: URL, settings: StoreSettings) -> Database:
    if not url.database:
        raise SettingsError("DATABASE_URL names no database; write its name behind the last /.")
    unknown = set(url.query) - {"sslmode", "sslrootcert"}
    if unknown:
        raise SettingsError(
            "DATABASE_URL may have sslmode and sslrootcert behind the ?, and nothing else."
        )
    full = URL.create(
        "postgresql+asyncpg",
        username=url.username or settings.db_user or None,
        password=url.password or settings.db_password.get_secret_value() or None,
        host=url.host,
        port=url.port,
        database=url.database,
    )
    return Database(url=full, connect_args=_tls(url), is_sqlite=False)


def _tls(url: URL) -> dict[str, object]:
    mode, roots = url.query.get("sslmode"), url.query.get("sslrootcert")
    if mode is None and roots is None:
        return {}
    if mode not in SSL_MODES:
        raise SettingsError(f"DATABASE_URL: sslmode must be one of {', '.join(sorted(SSL_MODES))}.")
    if roots is None:
        return {"ssl": mode}
    if mode not in {"verify-ca", "verify-full"}:
        raise SettingsError("DATABASE_URL: sslrootcert needs sslmode=verify-ca or verify-full.")
    try:
        context = ssl.create_default_context(cafile=Path(str(roots)))
    except OSError:
        raise SettingsError("DATABASE_URL: the file of sslrootcert cannot be read.") from None
    context.check_hostname = mode == "verify-full"
    return {"ssl": context}


def redis_url(settings: QueueSettings) -> str:
    """REDIS_URL with REDIS_PASSWORD where it holds none; "" without Redis.

    Raises SettingsError for what is not redis:// or rediss://.
    """
    text = settings.redis_url.get_secret_value()
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError("REDIS_URL must be like redis://host:port, or rediss:// for TLS.")
    password = settings.redis_password.get_secret_value()
    if parts.password or not password:
        return text
    host = parts.netloc.rpartition("@")[2]
    login = f"{parts.username or ''}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{host}").geturl()
