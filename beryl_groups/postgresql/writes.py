"""Single writes: what each sends, and why it is right beside the others.

All that a write does is sent at once, as one transaction; see `turns`. Where it has to look before
it writes, a first statement takes the lock of the group's row and the next ones, which see all that
it may have waited for, act on the row that is held: its id goes from one to the other in a setting
of the transaction.

The locks of a group's row: `add` takes it FOR KEY SHARE, beside other calls of `add`; `remove`,
`set_topics`, `rename` and `delete` take it FOR UPDATE, alone. A lock that was waited for is for the
row as it is then: one that bears another name by then, or is gone, is not found.

A refusal has to be true of some moment of the call. Beside single writes it is: a name that was on
no row when the statement began was not there then, and a row that was deleted or renamed during the
wait was not there when that was committed. But who edits with psql may delete a group and make it
anew in one transaction, and then there was no such moment. So what was not found is looked for once
more, by a statement that waits for nobody, and where it is there the write is made anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from beryl_groups import operations, statements
from beryl_groups.errors import AlreadyExists, NotFound
from beryl_groups.postgresql import SCHEMA
from beryl_groups.postgresql.connections import MANY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from beryl_groups.postgresql.connections import Step
    from beryl_groups.postgresql.turns import Attempt

# ruff: noqa: S608 - the schema is a constant
_HELD = "NULLIF(current_setting('beryl_groups.held', true), '')::bigint"
_HOLD = (
    "SELECT set_config('beryl_groups.held', id::text, true) "
    f"FROM (SELECT id FROM {SCHEMA}.groups WHERE name = $1 FOR {{}}) AS held"
)
_HOLD_BESIDE = _HOLD.format("KEY SHARE")
_HOLD_ALONE = _HOLD.format("UPDATE")
_KEEP = f"SELECT id FROM {SCHEMA}.groups WHERE name = $1 FOR KEY SHARE"
_ADD = (
    f"WITH held AS MATERIALIZED ({_KEEP}), added AS ("
    f"INSERT INTO {SCHEMA}.group_topics (group_id, topic) "
    "SELECT held.id, t FROM held, unnest($2::text[]) AS t ON CONFLICT DO NOTHING) "
    "SELECT id FROM held"
)
_ADD_ONE = (
    f"WITH held AS MATERIALIZED ({_KEEP}), added AS ("
    f"INSERT INTO {SCHEMA}.group_topics (group_id, topic) "
    "SELECT id, $2 FROM held ON CONFLICT DO NOTHING) "
    "SELECT id FROM held"
)
_ADD_TO_HELD = (
    f"INSERT INTO {SCHEMA}.group_topics (group_id, topic) "
    f"SELECT {_HELD}, t FROM unnest($1::text[]) AS t "
    f"WHERE {_HELD} IS NOT NULL ON CONFLICT DO NOTHING"
)
_REMOVE_FROM_HELD = (
    f"DELETE FROM {SCHEMA}.group_topics WHERE group_id = {_HELD} AND topic = ANY($1::text[])"
)
_REMOVE_OTHERS_FROM_HELD = (
    f"DELETE FROM {SCHEMA}.group_topics WHERE group_id = {_HELD} "
    "AND topic NOT IN (SELECT t FROM unnest($1::text[]) AS t)"
)
_RENAME_HELD = (
    f"UPDATE {SCHEMA}.groups SET name = $1 WHERE id = {_HELD} "
    f"AND NOT EXISTS (SELECT FROM {SCHEMA}.groups WHERE name = $1) RETURNING id"
)
_BOTH = (
    f"SELECT EXISTS (SELECT FROM {SCHEMA}.groups WHERE name = $1), "
    f"EXISTS (SELECT FROM {SCHEMA}.groups WHERE name = $2)"
)


def create(attempt: Attempt, name: str, exist_ok: bool) -> None:
    # A row in the way is looked at as it is now and not as the statement began, and waited for
    # where it is neither there nor gone: so there was such a group, at that moment. Where that is
    # no error, its lock says that it still is at the commit, and has a commit for it to rest on.
    while True:
        if not exist_ok:
            if not attempt.commit((statements.CREATE, (name,)))[0]:
                raise AlreadyExists(name)
            return
        made, kept = attempt.commit((statements.CREATE, (name,)), (_KEEP, (name,)))
        if made or kept:
            return
        attempt.look_again()  # it was deleted between the two


def delete(attempt: Attempt, name: str, missing_ok: bool) -> None:
    # Its topics go with it by the foreign key, whose statement sees all that was added before the
    # lock of the row was had.
    while not attempt.commit((statements.DELETE, (name,)))[0]:
        if not _is_there(attempt, name):
            if missing_ok:
                return
            raise NotFound(name)
        attempt.look_again()


def rename(attempt: Attempt, name: str, new_name: str) -> None:
    # Whoever makes a group of the new name meanwhile is met at the index of names.
    while True:
        try:
            _, renamed = attempt.commit((_HOLD_ALONE, (name,)), (_RENAME_HELD, (new_name,)))
        except psycopg.errors.UniqueViolation:
            attempt.connection.roll_back()
        else:
            if renamed:
                return
        ((there, in_the_way),) = attempt.connection.rows(_BOTH, name, new_name)
        if not there:
            raise NotFound(name)
        if in_the_way:
            raise AlreadyExists(new_name)
        attempt.look_again()


def add(attempt: Attempt, name: str, topics: Sequence[str]) -> None:
    # Nobody can remove a topic before the commit, so all are there then, whoever added them.
    # Sorted, so two calls with topics in common wait for each other in one order.
    steps = _adding(name, topics)
    while not attempt.commit(*steps)[0]:
        _refuse_missing(attempt, name)


def create_and_add(attempt: Attempt, name: str, topics: Sequence[str]) -> None:
    while not attempt.commit((statements.CREATE, (name,)), *_adding(name, topics))[1]:
        attempt.look_again()  # it was deleted between the two


def remove(attempt: Attempt, name: str, topics: Sequence[str]) -> None:
    # Held alone, for a topic that another call removes and a third adds again while this one waits
    # for the row of it would stay, beside others that are gone: there is no order for that.
    removing = [(_REMOVE_FROM_HELD, (page,)) for page in _pages(topics)]
    while not attempt.commit((_HOLD_ALONE, (name,)), *removing)[0]:
        _refuse_missing(attempt, name)


def set_topics(attempt: Attempt, name: str, topics: Sequence[str]) -> None:
    if len(topics) > MANY:
        _set_many(attempt, name, topics)
        return
    wanted = sorted(set(topics))
    setting = ((_REMOVE_OTHERS_FROM_HELD, (wanted,)), (_ADD_TO_HELD, (wanted,)))
    while not attempt.commit((_HOLD_ALONE, (name,)), *setting)[0]:
        _refuse_missing(attempt, name)


def _set_many(attempt: Attempt, name: str, topics: Sequence[str]) -> None:
    """Read what there is, once the group is held, and send only what differs."""
    while not attempt.begin((_HOLD_ALONE, (name,)))[0]:
        attempt.connection.roll_back()
        _refuse_missing(attempt, name)
    operations.set_topics(attempt.connection, name, topics)
    attempt.end()


def _adding(name: str, topics: Sequence[str]) -> list[Step]:
    """Return the steps, of which the first finds the group."""
    if len(topics) == 1:  # as most often
        return [(_ADD_ONE, (name, topics[0]))]
    if len(topics) <= MANY:
        return [(_ADD, (name, sorted(topics)))]
    adding: list[Step] = [(_ADD_TO_HELD, (page,)) for page in _pages(topics)]
    return [(_HOLD_BESIDE, (name,)), *adding]


def _pages(topics: Sequence[str]) -> Iterator[list[str]]:
    ordered = sorted(topics)
    for start in range(0, len(ordered), MANY):
        yield ordered[start : start + MANY]


def _refuse_missing(attempt: Attempt, name: str) -> None:
    if not _is_there(attempt, name):
        raise NotFound(name)
    attempt.look_again()


def _is_there(attempt: Attempt, name: str) -> bool:
    return operations.contains(attempt.connection, name)


SINGLE: dict[Callable[..., Any], Callable[..., None]] = {
    operations.create: create,
    operations.delete: delete,
    operations.rename: rename,
    operations.add: add,
    operations.create_and_add: create_and_add,
    operations.remove: remove,
    operations.set_topics: set_topics,
}
"""What each operation is as a write by itself."""
