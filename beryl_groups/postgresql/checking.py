"""The search for what is wrong with a database: its tables, and what is in them.

Damage to the server's files is for its own tools to find (``pg_amcheck``, checksums of pages).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from beryl_groups import revisions
from beryl_groups.errors import InvalidName
from beryl_groups.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beryl_groups.postgresql.connections import Connection

# With nothing else on the path each name is told with its schema.
_PATH = "SET LOCAL search_path = pg_catalog"
_QUOTING = "SET LOCAL quote_all_identifiers = off"
_OIDS = """
    SELECT c.relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'beryl_groups' AND c.relname
        IN ('groups', 'group_topics', 'memberships', 'beryl_groups_version')
"""
_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        a.attidentity <> '' OR a.atthasdef, coalesce(l.collname, '')
    FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
"""
_CONSTRAINTS = """
    SELECT pg_get_constraintdef(oid), convalidated FROM pg_constraint
    WHERE conrelid = $1 AND contype <> 'n'
"""
_INDEXES = """
    SELECT i.indexrelid::regclass::text, i.indisvalid AND i.indisready, i.indisunique,
        coalesce(i.indpred IS NULL, true),
        array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
            ORDER BY k.place)
    FROM pg_index i WHERE i.indrelid = $1 ORDER BY 1
"""
_KIND = "SELECT relpersistence = 'p', relrowsecurity FROM pg_class WHERE oid = $1"
_RULES = "SELECT rulename FROM pg_rewrite WHERE ev_class = $1 ORDER BY 1"
_VIEW = """
    SELECT c.relkind = 'v', array(SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum)
    FROM pg_class c WHERE c.oid = $1
"""
_DISABLED = """
    SELECT tgname FROM pg_trigger WHERE tgrelid = $1 AND tgenabled IN ('D', 'R')
"""
_SEQUENCE = """
    SELECT name FROM pg_get_serial_sequence('beryl_groups.groups', 'id') AS name
    WHERE has_sequence_privilege(name, 'SELECT')
"""
_NEXT_ID = """
    SELECT last_value + is_called::int, (SELECT coalesce(max(id), 0) FROM beryl_groups.groups)
    FROM {}
"""
_ORPHANS = """
    SELECT group_id, count(*), min(topic) FROM beryl_groups.group_topics t
    WHERE NOT EXISTS (SELECT FROM beryl_groups.groups g WHERE g.id = t.group_id)
    GROUP BY group_id ORDER BY group_id
"""
# The rules that a text of the server may break: it holds no NUL and no surrogate.
_BAD_NAMES = """
    SELECT 'group', name FROM beryl_groups.groups WHERE name = '' OR octet_length(name) > 1024
    UNION ALL
    SELECT 'topic', topic FROM beryl_groups.group_topics
    WHERE topic = '' OR octet_length(topic) > 1024
"""

# For each column its type, whether it may be missing, is filled by itself, and its collation.
_EXPECTED_COLUMNS: dict[str, dict[str, tuple[str, bool, bool, str | None]]] = {
    "groups": {
        "id": ("bigint", True, True, ""),
        "name": ("text", True, False, "C"),
        "created_at": ("text", True, True, None),
    },
    "group_topics": {
        "group_id": ("bigint", True, False, ""),
        "topic": ("text", True, False, "C"),
    },
}
_ALL = {
    "groups": "table",
    "group_topics": "table",
    "memberships": "view",
    revisions.VERSION_TABLE: "table",
}
_EXPECTED_CONSTRAINTS = {
    "groups": {"PRIMARY KEY (id)", "UNIQUE (name)"},
    "group_topics": {
        "PRIMARY KEY (group_id, topic)",
        "FOREIGN KEY (group_id) REFERENCES beryl_groups.groups(id) ON DELETE CASCADE",
    },
}
_EXPECTED_INDEXES: dict[str, set[tuple[str, ...]]] = {
    "groups": {("id",), ("name",)},
    "group_topics": {("group_id", "topic"), ("topic", "group_id")},
}
_UNIQUE = {("id",), ("name",), ("group_id", "topic")}


def problems(connection: Connection, on_the_way: Callable[[], None] | None = None) -> list[str]:
    """Return a sentence for each thing that is wrong, all as of one moment."""
    found: list[str] = []
    with connection.moment():
        connection.run((_PATH, ()), (_QUOTING, ()))
        oids = dict(connection.rows(_OIDS))
        for search in _SEARCHES:
            if on_the_way is not None:
                on_the_way()
            found.extend(search(connection, oids))
            if search is _missing and found:
                break  # the rest cannot be asked for
    return found


def _missing(_connection: Connection, oids: dict[str, int]) -> Iterator[str]:
    for name, kind in _ALL.items():
        if name not in oids:
            yield f"The {kind} beryl_groups.{name} is missing."


def _altered(connection: Connection, oids: dict[str, int]) -> Iterator[str]:
    for table in _EXPECTED_COLUMNS:
        shown = f"The table beryl_groups.{table} was altered"
        ((lasting, by_row),) = connection.rows(_KIND, oids[table])
        if not lasting:
            yield f"{shown}: it is not logged, and a crash of the server would empty it."
        if by_row:
            yield f"{shown}: a policy may hide rows of it."
        for difference in _differences(connection, table, oids[table]):
            yield f"{shown}: {difference}."


def _view(connection: Connection, oids: dict[str, int]) -> Iterator[str]:
    ((is_view, columns),) = connection.rows(_VIEW, oids["memberships"])
    if not is_view or columns != ["group_name", "topic"]:
        yield "beryl_groups.memberships is not the view of group_name and topic that was made."


def _differences(connection: Connection, table: str, oid: int) -> Iterator[str]:
    expected = _EXPECTED_COLUMNS[table]
    columns = {name: row for name, *row in connection.rows(_COLUMNS, oid)}
    for name in sorted(expected.keys() - columns.keys()):
        yield f"it has no column {name}"
    for name in sorted(columns.keys() - expected.keys()):
        yield f"it has a column {name} more"
    for name in sorted(columns.keys() & expected.keys()):
        kind, filled, generated, collation = expected[name]
        its_kind, its_filled, its_generated, its_collation = columns[name]
        if its_kind != kind:
            yield f"its column {name} is {its_kind}, not {kind}"
        elif collation is not None and its_collation != collation:
            yield (
                f"its column {name} has the collation {its_collation!r}, which is not in code "
                "point order as 'C' is"
            )
        if filled and not its_filled:
            yield f"its column {name} may be NULL"
        if generated and not its_generated:
            yield f"its column {name} is not filled by the server"
    found = dict(connection.rows(_CONSTRAINTS, oid))
    for constraint in sorted(_EXPECTED_CONSTRAINTS[table] - found.keys()):
        yield f"it lacks the constraint {constraint}"
    for constraint in sorted(found.keys() - _EXPECTED_CONSTRAINTS[table]):
        yield f"it has a constraint more, {constraint}"


def _indexes(connection: Connection, oids: dict[str, int]) -> Iterator[str]:
    for table, expected in _EXPECTED_INDEXES.items():
        rows = connection.rows(_INDEXES, oids[table])
        for name, valid, unique, _, columns in rows:
            if not valid:
                yield f"The index {name} is invalid: REINDEX INDEX {name} makes it anew."
            if unique and tuple(columns) not in _UNIQUE:
                yield f"The index {name} is unique, and would refuse what is to be stored."
        whole = {tuple(columns) for _, _, _, is_whole, columns in rows if is_whole}
        for missing in sorted(expected - whole):
            yield f"The table beryl_groups.{table} has no index of {', '.join(missing)}."


def _triggers(connection: Connection, oids: dict[str, int]) -> Iterator[str]:
    for table in _EXPECTED_COLUMNS:
        for (name,) in connection.rows(_RULES, oids[table]):
            yield f"The rule {name} of the table beryl_groups.{table} changes what calls mean."
        for (name,) in connection.rows(_DISABLED, oids[table]):
            yield f"The trigger {name} of the table beryl_groups.{table} is disabled."


def _numbers(connection: Connection, _oids: dict[str, int]) -> Iterator[str]:
    for (sequence,) in connection.rows(_SEQUENCE):  # none that this role may not read
        ((next_id, highest),) = connection.rows(_NEXT_ID.format(sequence))
        if next_id <= highest:
            yield (
                f"The next group would get the id {next_id}, and there is one of {highest}: "
                f"SELECT setval('{sequence}', {highest}) mends it."
            )


def _orphans(connection: Connection, _oids: dict[str, int]) -> Iterator[str]:
    for group_id, number, topic in connection.rows(_ORPHANS):
        yield (
            f"A group was deleted without its topics: group_topics holds {number} orphaned "
            f"rows of the group_id {group_id}, such as {topic!r}."
        )


def _bad_names(connection: Connection, _oids: dict[str, int]) -> Iterator[str]:
    for kind, name in connection.rows(_BAD_NAMES):
        try:
            check_name(name)
        except InvalidName as error:
            yield f"The name of a {kind} breaks the rules: {error}"


_SEARCHES = (_missing, _altered, _view, _indexes, _triggers, _numbers, _orphans, _bad_names)
