"""What a URL of PostgreSQL says: where the server is, and how the database is shown."""

from __future__ import annotations

import importlib
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from beryl_groups.errors import StartFailed

if TYPE_CHECKING:
    import os

_SCHEMES = {"postgresql", "postgres"}
_OURS = {*_SCHEMES, "postgresql+psycopg"}

# Options of libpq whose values are nobody's business; those that name files of keys are not.
_SECRET = {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
_HIDDEN = "***"

_PART_OF_PASSWORD = re.compile(r"^[^/]*@|:.*@", re.DOTALL)
"""What a host and a database hold where it is written into a URL as it is."""


_HOSTS_OF_LIBPQ = re.compile(
    r"(?P<before>[\w+]+://(?:[^@/?]*@)?)(?=[^/?]*[%,])"
    r"(?P<hosts>[\w.%-]+(?::\d*)?(?:,[\w.%-]+(?::\d*)?)*)(?P<after>(?:[/?].*)?)",
    re.ASCII | re.DOTALL,
)
"""Where libpq's way to write hosts is another: several, or the folder of a socket as %2Ftmp."""


@dataclass(frozen=True)
class Address:
    """Where a database is."""

    shown: str
    options: dict[str, Any] = field(repr=False)
    """What libpq is given."""


def is_address(database: str | os.PathLike[str] | URL) -> bool:
    """Tell whether a user means a database of PostgreSQL, whatever may be wrong with it."""
    if isinstance(database, URL):
        return database.drivername.partition("+")[0] in _SCHEMES
    if not isinstance(database, str):
        return False
    scheme, separator, _ = str.__str__(database).partition("://")
    return bool(separator) and scheme.partition("+")[0] in _SCHEMES


def parse(database: str | URL) -> Address:
    """Read a URL, or raise `StartFailed`, which shows no secret of it."""
    url = database if isinstance(database, URL) else _read(str.__str__(database))
    if url is None:
        # What cannot be read cannot be told from a password: nothing of it is shown, nor in what
        # led to this error.
        scheme = str(database).partition("://")[0]
        raise StartFailed(f"{scheme}://…", "it is no URL that SQLAlchemy understands")
    if _PART_OF_PASSWORD.search(f"{url.host}/{url.database}"):
        # It would be shown, and looked for in the network, as a host.
        reason = "in a password and a name '@' is written as %40, ':' as %3A and '/' as %2F"
        raise StartFailed(f"{url.drivername}://…", reason)
    shown = _shown(url)
    if url.drivername not in _OURS:
        reason = f"{url.drivername!r} is not supported, only 'postgresql+psycopg' is"
        raise StartFailed(shown, reason)
    try:
        importlib.import_module("psycopg")
    except ImportError as error:
        reason = f'psycopg is missing: pip install "beryl_groups[postgresql]" ({error})'
        raise StartFailed(shown, reason) from error
    return Address(shown, _options(url, shown))


def _read(database: str) -> URL | None:
    """Read a URL as SQLAlchemy writes it, or as libpq does."""
    where = {}
    if written := _HOSTS_OF_LIBPQ.fullmatch(database):
        hosts = [unquote(each).partition(":") for each in written["hosts"].split(",")]
        database = written["before"] + written["after"]
        where["host"] = ",".join([host for host, _, _ in hosts])
        if any(port for _, _, port in hosts):
            where["port"] = ",".join([port for _, _, port in hosts])
    with suppress(ArgumentError, ValueError):
        return make_url(database).update_query_dict(where)
    return None


def for_psql(database: str) -> str:
    """Return the URL as psql takes it, without a password."""
    url = make_url(parse(database).shown)
    return url.set(drivername="postgresql", password=None).render_as_string()


def _options(url: URL, shown: str) -> dict[str, Any]:
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg  # noqa: PLC0415

    try:
        dialect: Any = PGDialect_psycopg
        _, options = dialect().create_connect_args(url)
    except (ArgumentError, ValueError) as error:
        raise StartFailed(shown, "its hosts and ports cannot be told apart") from error
    options.pop("context", None)
    lists = [key for key, value in options.items() if isinstance(value, (tuple, list))]
    if lists:
        raise StartFailed(shown, f"its option {lists[0]!r} is given more than once")
    unknown = options.keys() - _libpq_knows()
    if unknown:  # psycopg's own, such as autocommit, are for the library to set
        raise StartFailed(shown, f"its option {min(unknown)!r} is none of libpq")
    for key, value in options.items():
        if not _can_be_said(key, str(value)):
            raise StartFailed(shown, f"its {key} is none: it holds what cannot be one")
    # What the library needs, whatever the URL says: text as it is, and who it is that asks.
    return {"fallback_application_name": "beryl_groups", **options, "client_encoding": "UTF8"}


def _libpq_knows() -> set[str]:
    from psycopg.pq import Conninfo  # noqa: PLC0415 - it may be missing

    return {option.keyword.decode() for option in Conninfo.get_defaults()}


def _can_be_said(key: str, value: str) -> bool:
    """Tell whether libpq, which would read it up to a NUL, and the network can be told it."""
    try:
        value.encode()
        for host in value.split(",") if key == "host" else ():
            if not host.startswith(("/", "@")):  # as the path of a socket does
                host.encode("idna")
    except UnicodeError:
        return False
    return "\0" not in value


def _shown(url: URL) -> str:
    secrets = {key: _HIDDEN for key in url.query if key.lower() in _SECRET}
    return url.update_query_dict(secrets).render_as_string(hide_password=True)


# A network that swallows all is noticed after half a minute, and not after hours.
_LIVELY = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}


def with_patience(address: Address, seconds: float) -> dict[str, Any]:
    """Return what libpq is given by somebody who waits so long for an answer of the server."""
    # Whole seconds are all that libpq knows, and 0 would be forever.
    return {"connect_timeout": max(2, round(min(seconds, 60))), **_LIVELY, **address.options}
