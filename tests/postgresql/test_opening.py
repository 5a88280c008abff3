"""What a URL opens, and the sentence where it opens nothing: the reason, and never a secret."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Literal

import pytest
from sqlalchemy import make_url

import beryl_groups
from beryl_groups import StartFailed, StorageFailed, aio, revisions
from beryl_groups.postgresql.address import parse
from tests.postgresql import databases
from tests.postgresql.roles import PASSWORD, role
from tests.postgresql.server import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "s3cr3t-of-mine"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"postgresql+psycopg2://u:{SECRET}@h/d", "only 'postgresql\\+psycopg' is"),
        (f"postgresql+asyncpg://u:{SECRET}@h/d", "only 'postgresql\\+psycopg' is"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/d?autocommit=1", "'autocommit' is none of libpq"),
        (f"postgresql://u:{SECRET},1/d", "no URL that SQLAlchemy understands"),
        (f"postgresql://u:{SECRET}@h:port/d", "no URL that SQLAlchemy understands"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/d", "no connection .* refused Is the server"),
        (f"postgresql://u@127.0.0.1:1/d?password={SECRET}", "no connection to the server"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/d?sslmode=perhaps", "sslmode"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/d?nonsense=1", "nonsense"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/d?sslmode=a&sslmode=b", "more than once"),
        (f"postgresql://u:p@{SECRET}@127.0.0.1:1/d", "written as %40"),
        (f"postgresql://o/u:{SECRET}@127.0.0.1:1/d", "written as %40"),
        (f"postgresql://u:{SECRET}%00@127.0.0.1:1/d", "its password is none"),
        (f"postgresql://u:{SECRET}@{'a' * 64}/d", "its host is none"),
    ],
)
def test_a_url_that_opens_nothing_is_refused_with_the_reason(url: str, reason: str) -> None:
    """The sentence names the database, but not its password."""
    with pytest.raises(StartFailed, match=reason) as refused:
        beryl_groups.start(url, busy_timeout=0.1)
    error: BaseException | None = refused.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("command", ["list", "demo", "restore"])
def test_who_lacks_the_driver_is_told_how_to_get_it(command: str) -> None:
    """By a command too, and before anything is done."""
    without = "import sys; sys.modules['psycopg'] = None; from beryl_groups.cli import main; main()"
    backup = [__file__] if command == "restore" else []
    line = [sys.executable, "-c", without, command, f"postgresql://u:{SECRET}@h/d", *backup]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "beryl_groups[postgresql]"' in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_a_url_is_text_or_an_object(database: str, scheme: str) -> None:
    """Both ways of writing it open the same, and a handle shows it."""
    url = make_url(database).set(drivername=scheme)
    with beryl_groups.start(url) as groups, beryl_groups.start(str(url)) as same:
        groups.create("team")
        assert list(same) == ["team"]
        assert repr(groups) == f"<Groups of {str(url)!r}, open>"


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://u@a:1,b:2/d?sslmode=require", {"host": "a,b", "port": "1,2"}),
        ("postgresql://a,b:2/d", {"host": "a,b", "port": ",2"}),
        ("postgresql://u@%2Frun%2Fpg:2/d", {"host": "/run/pg", "port": "2"}),
        ("postgresql:///d?host=/run/pg&port=2", {"host": "/run/pg", "port": "2"}),
        ("postgresql://u:p%25,1@a/d", {"host": "a", "password": "p%,1"}),
    ],
)
def test_hosts_are_written_as_libpq_has_them(url: str, where: dict[str, str]) -> None:
    """Several, of which one takes the place of another, and the folder of a socket."""
    address = parse(url)
    assert where.items() <= address.options.items()
    assert address.options["dbname"] == "d"
    again = parse(address.shown).options
    assert again | {"password": ""} == address.options | {"password": ""}


def test_no_password_is_in_what_a_handle_says(database: str) -> None:
    """Its repr, and what it raises."""
    with role(database) as url:
        with pytest.raises(StartFailed, match=r"GRANT CREATE ON DATABASE") as refused:
            beryl_groups.start(url)
        assert PASSWORD not in f"{refused.value} {refused.value!r} {refused.value.__cause__!r}"
        wrong = url.replace(PASSWORD, f"{PASSWORD}-not")
        with pytest.raises(StartFailed, match="password authentication failed") as refused:
            beryl_groups.start(wrong)
        assert PASSWORD not in f"{refused.value} {refused.value!r} {refused.value.__cause__!r}"


def test_a_role_that_may_only_read_reads(database: str) -> None:
    """A write says what has to be granted, and to what."""
    with beryl_groups.start(database) as groups:
        groups.add("team", "a", create=True)
    with role(database) as url:
        name = make_url(url).username
        sql(
            database,
            f"GRANT USAGE ON SCHEMA beryl_groups TO {name}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA beryl_groups TO {name}",
        )
        with beryl_groups.start(url) as groups:
            assert groups.topics("team") == {"a"}
            with pytest.raises(StorageFailed, match="UPDATE, DELETE ON ALL TABLES") as refused:
                groups.add("team", "b")
            assert PASSWORD not in str(refused.value)


def test_a_schema_that_somebody_else_made_is_filled(empty_database: str) -> None:
    """What the sentence says to grant is enough."""
    sql(empty_database, "CREATE SCHEMA beryl_groups")
    with role(empty_database) as url:
        with pytest.raises(StartFailed, match=r"GRANT USAGE, CREATE ON SCHEMA beryl_groups where"):
            beryl_groups.start(url)
        name = make_url(url).username
        sql(empty_database, f"GRANT USAGE, CREATE ON SCHEMA beryl_groups TO {name}")
        with beryl_groups.start(url) as groups:
            groups.create("team")
            assert groups.check() == []


def test_a_database_that_is_not_there_is_named(database: str) -> None:
    """Nothing makes a database: that is for whoever runs the server."""
    there = database.rpartition("/")[0]
    with pytest.raises(StartFailed, match='"no_such_database" does not exist'):
        beryl_groups.start(f"{there}/no_such_database")


@pytest.fixture
def latin_database() -> Iterator[str]:
    """A database that cannot hold every name."""
    url = databases.make("ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    yield url
    databases.drop(url)


def test_a_database_of_another_encoding_is_refused(latin_database: str) -> None:
    """And it is as it was."""
    with pytest.raises(StartFailed, match="encoded in LATIN1, and UTF8 is needed"):
        beryl_groups.start(latin_database)
    assert sql(latin_database, "SELECT 1 FROM pg_namespace WHERE nspname = 'beryl_groups'") == []


def test_a_first_start_needs_few_connections_and_no_settings(empty_database: str) -> None:
    """Two connections do, and what the owner of the database has set for it is no matter."""
    name = empty_database.rpartition("/")[2]
    for setting in (
        "quote_all_identifiers = on",
        "standard_conforming_strings = off",
        "default_transaction_isolation = 'serializable'",
        "search_path = ''",
    ):
        sql(empty_database, f"ALTER DATABASE {name} SET {setting}")
    with role(empty_database, options="CONNECTION LIMIT 2") as url:
        sql(empty_database, f"GRANT CREATE ON DATABASE {name} TO {make_url(url).username}")
        with beryl_groups.start(url) as groups:
            groups.add("team", 'a\\"', create=True)
            assert groups.topics("team") == {'a\\"'}
            assert groups.check() == []


def test_a_schema_of_a_newer_version_is_refused(empty_database: str) -> None:
    """The sentence names both revisions."""
    beryl_groups.start(empty_database).close()
    sql(empty_database, "UPDATE beryl_groups.beryl_groups_version SET version_num = '9999'")
    with pytest.raises(StartFailed, match=rf"revision 9999, .* knows {revisions.HEAD} at the most"):
        beryl_groups.start(empty_database)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("ALTER TABLE beryl_groups.groups ADD COLUMN more int", "groups is not as"),
        (
            (
                "DROP VIEW beryl_groups.memberships; "
                'ALTER TABLE beryl_groups.group_topics ALTER topic TYPE text COLLATE "POSIX"'
            ),
            "topics",
        ),
        ("DROP TABLE beryl_groups.group_topics CASCADE", "group_topics is not as"),
        ("DROP TABLE beryl_groups.beryl_groups_version", "beryl_groups did not make"),
    ],
)
def test_tables_that_were_altered_are_refused(
    empty_database: str, change: str, reason: str
) -> None:
    """What they hold could be wrong, or lost by a write."""
    beryl_groups.start(empty_database).close()
    sql(empty_database, change)
    with pytest.raises(StartFailed, match=reason):
        beryl_groups.start(empty_database)


def test_nothing_else_in_the_database_is_touched(empty_database: str) -> None:
    """Tables of the same names in other schemas are another's, wherever the role looks first."""
    name = empty_database.rpartition("/")[2]
    sql(
        empty_database,
        "CREATE TABLE public.groups (id int)",
        "CREATE TABLE public.alembic_version (version_num text)",
        f"ALTER DATABASE {name} SET search_path = public",
    )
    with beryl_groups.start(empty_database) as groups:
        groups.add("team", "a", create=True)
        assert groups.check() == []
    assert sql(empty_database, "SELECT * FROM public.groups") == []
    found = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert sql(empty_database, found) == [(2,)]


@pytest.mark.parametrize(
    ("synchronous", "default", "used"),
    [
        ("full", "off", "on"),
        ("full", "local", "on"),
        ("full", "remote_apply", "remote_apply"),
        ("normal", "on", "off"),
    ],
)
def test_how_durable_a_write_is_does_not_depend_on_the_server(
    empty_database: str, synchronous: Literal["full", "normal"], default: str, used: str
) -> None:
    """With "full" a commit waits for the disk, whatever the database has for its default."""
    beryl_groups.start(empty_database).close()
    name = empty_database.rpartition("/")[2]
    sql(
        empty_database,
        f"ALTER DATABASE {name} SET synchronous_commit = {default}",
        f"ALTER DATABASE {name} SET default_transaction_isolation = serializable",
        "CREATE TABLE public.seen (level text, isolation text)",
        "CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO public.seen VALUES (current_setting('synchronous_commit'), "
        "current_setting('transaction_isolation')); RETURN NULL; END $$",
        "CREATE TRIGGER see AFTER INSERT ON beryl_groups.groups EXECUTE FUNCTION public.see()",
    )
    with beryl_groups.start(empty_database, synchronous=synchronous) as groups:
        groups.create("a")
        with groups.transaction() as transaction:
            transaction.create("b")
    seen = sql(empty_database, "SELECT * FROM public.seen")
    assert seen == [(used, "read committed")] * 2


async def add_all(database: str) -> set[str]:
    import asyncio

    async with aio.start(database, pool_size=4) as groups:
        await groups.create("team")
        await asyncio.gather(*[groups.add("team", f"{number}") for number in range(50)])
        async with groups.transaction() as transaction:
            await transaction.add("team", "last")
        return set(await groups.topics("team"))


def test_tasks_have_the_same_groups(database: str) -> None:
    """The async handle opens a URL as the other does, and its writes go on beside each other."""
    import asyncio

    assert asyncio.run(add_all(database)) == {*map(str, range(50)), "last"}
