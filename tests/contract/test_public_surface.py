"""The public surface: what is in it, of which types, and how its errors behave."""

from __future__ import annotations

import copy
import inspect
import pickle
from importlib import resources
from typing import TYPE_CHECKING, Literal, assert_type

import pytest

import beryl_groups
from beryl_groups import (
    AlreadyExists,
    Busy,
    Change,
    Closed,
    GroupError,
    Groups,
    InvalidName,
    NotFound,
    StartFailed,
    StorageFailed,
    Transaction,
    WalResetWarning,
    Watch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator  # noqa: F401 - in the types below
    from contextlib import AbstractContextManager
    from pathlib import Path


def test_the_surface_is_this_and_nothing_more() -> None:
    """A name enters or leaves the public surface only together with this list."""
    assert beryl_groups.__all__ == [
        "AlreadyExists",
        "Busy",
        "Change",
        "Closed",
        "GroupError",
        "Groups",
        "InvalidName",
        "NotFound",
        "OutcomeUnknown",
        "StartFailed",
        "StorageFailed",
        "Transaction",
        "WalResetWarning",
        "Watch",
        "start",
    ]


SHARED_METHODS = {
    "add": "(self, name: 'str', *topics: 'str', create: 'bool' = False) -> 'None'",
    "broadcast": "(self, channels: 'Callable[[str, str, Any], object]', "
    "group: 'str | Iterable[str]', event: 'str', payload: 'object', *, "
    "exclude: 'Iterable[str]' = ()) -> 'None'",
    "create": "(self, name: 'str', *, exist_ok: 'bool' = False) -> 'None'",
    "delete": "(self, name: 'str', *, missing_ok: 'bool' = False) -> 'None'",
    "groups_of": "(self, topic: 'str') -> 'list[str]'",
    "list_groups": "(self, prefix: 'str' = '', *, after: 'str | None' = None, "
    "limit: 'int | None' = None) -> 'list[str]'",
    "remove": "(self, name: 'str', *topics: 'str') -> 'None'",
    "rename": "(self, name: 'str', new_name: 'str') -> 'None'",
    "set_topics": "(self, name: 'str', topics: 'Iterable[str]') -> 'None'",
    "topics": "(self, name: 'str') -> 'frozenset[str]'",
}
FOR_THE_HANDLE = {
    "end",
    "refuse_if_failed",
    "refuse_if_unusable",
}  # a handle calls them on its transactions
METHODS_OF_A_HANDLE = SHARED_METHODS | {
    "backup": "(self, path: 'str | os.PathLike[str]') -> 'None'",
    "check": "(self) -> 'list[str]'",
    "close": "(self) -> 'None'",
    "restore": "(self, path: 'str | os.PathLike[str]') -> 'None'",
    "transaction": "(self) -> 'Iterator[Transaction]'",
    "watch": "(self, on_change: 'Callable[[Change], object] | None' = None, *, "
    "group: 'str | Iterable[str] | None' = None, prefix: 'str' = '', "
    "known: 'Mapping[str, Iterable[str]] | None' = None, interval: 'float' = 0.05) -> 'Watch'",
}


METHODS_OF_A_WATCH = {"stop": "(self) -> 'None'"}


@pytest.mark.parametrize(
    ("kind", "methods"),
    [
        (Groups, METHODS_OF_A_HANDLE),
        (Transaction, SHARED_METHODS),
        (Watch, METHODS_OF_A_WATCH),
        (Change, {}),
    ],
)
def test_the_methods_have_these_arguments(kind: type, methods: dict[str, str]) -> None:
    """The methods, and the names, order and defaults of their arguments, are those promised."""
    found = {
        name: str(inspect.signature(member))
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and name not in FOR_THE_HANDLE
    }

    assert found == methods


def test_the_types_of_a_handle(groups: Groups, tmp_path: Path) -> None:
    """Every method of a handle has the types of the contract, for who calls it and for mypy."""
    groups.create("team")
    groups.add("team", "a", "b")
    groups.remove("team", "b")
    groups.set_topics("team", iter(["a", "c"]))
    groups.rename("team", "crew")
    assert assert_type(groups.topics("crew"), frozenset[str]) == {"a", "c"}
    assert assert_type(groups.list_groups("c", after="b", limit=5), list[str]) == ["crew"]
    assert assert_type(groups.groups_of("c"), list[str]) == ["crew"]
    assert assert_type("crew" in groups, bool)
    assert assert_type(len(groups), int) == 1
    assert list(assert_type(iter(groups), "Iterator[str]")) == ["crew"]
    assert assert_type(groups.check(), list[str]) == []
    groups.backup(tmp_path / "copy.db")
    groups.restore(tmp_path / "copy.db")
    groups.delete("crew")
    block: AbstractContextManager[Transaction] = groups.transaction()
    with block as transaction:
        assert_type(transaction, Transaction)
    groups.close()


def test_the_types_of_a_transaction(groups: Groups) -> None:
    """The object that a transaction gives has the methods of the handle, with the same types."""
    with groups.transaction() as transaction:
        assert_type(transaction, Transaction)
        transaction.create("team")
        transaction.add("team", "a")
        assert assert_type(transaction.topics("team"), frozenset[str]) == {"a"}
        assert assert_type(transaction.list_groups(), list[str]) == ["team"]
        assert assert_type(transaction.groups_of("a"), list[str]) == ["team"]
        assert assert_type("team" in transaction, bool)
        assert assert_type(len(transaction), int) == 1
        assert list(assert_type(iter(transaction), "Iterator[str]")) == ["team"]


def test_the_types_of_a_watch(groups: Groups) -> None:
    """A watch gives changes, and takes a callback that returns anything."""
    told: list[Change] = []
    with assert_type(groups.watch(told.append, prefix="te"), Watch) as watch:
        assert_type(watch, Watch)
        watch.stop()
    with groups.watch(known={"team": ["a"]}, group=("team", "crew"), interval=1) as changes:
        change = assert_type(next(iter(changes)), Change)
    assert_type(change.kind, Literal["created", "deleted", "renamed", "added", "removed"])
    assert assert_type(change.group, str) == "team"
    assert assert_type(change.topics, frozenset[str]) == {"a"}
    assert assert_type(change.old_name, str | None) is None
    assert change == Change("deleted", "team", frozenset({"a"}))
    assert repr(change) == (
        "Change(kind='deleted', group='team', topics=frozenset({'a'}), old_name=None)"
    )
    with pytest.raises(AttributeError):
        change.kind = "added"  # type: ignore[misc]


def test_the_payload_has_the_type_that_the_callback_takes(groups: Groups) -> None:
    """A callback may ask for a type of payload, and mypy holds the broadcast to it."""
    received: list[tuple[str, str, int]] = []

    def channels(topic: str, event: str, payload: int) -> bool:
        received.append((topic, event, payload))
        return True

    groups.create("team")
    groups.add("team", "a")
    groups.broadcast(channels, "team", "count", 1)
    groups.broadcast(channels, "team", "count", "one")
    groups.broadcast(print, ("team", "other"), "any", {"payload": object()}, exclude={"a"})

    assert received == [("a", "count", 1), ("a", "count", "one")]


def test_types_are_shipped() -> None:
    """A type checker of a user takes the types from the package itself."""
    assert resources.files(beryl_groups).joinpath("py.typed").is_file()


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (GroupError, (Exception,)),
        (AlreadyExists, (GroupError,)),
        (NotFound, (GroupError,)),
        (InvalidName, (GroupError, ValueError)),
        (StartFailed, (GroupError,)),
        (StorageFailed, (GroupError,)),
        (Busy, (StorageFailed,)),
        (Closed, (StorageFailed,)),
        (WalResetWarning, (UserWarning,)),
    ],
)
def test_what_an_error_is(error: type[Exception], bases: tuple[type, ...]) -> None:
    """Whoever catches the base catches all under it, and `InvalidName` is a `ValueError`."""
    assert error.__bases__ == bases


ERRORS: list[tuple[GroupError, dict[str, str]]] = [
    (AlreadyExists("a team"), {"name": "a team"}),
    (NotFound("a team"), {"name": "a team"}),
    (InvalidName("\0", "it holds a NUL character"), {"name": "\0", "rule": "it holds a NUL "}),
    (StartFailed("a.db", "it is a folder"), {"database": "a.db", "reason": "it is a folder"}),
    (StorageFailed("The disk is full."), {}),
    (Busy("Another writer held it."), {}),
    (Closed("The handle is closed."), {}),
]


@pytest.mark.parametrize(("error", "values"), ERRORS, ids=lambda value: type(value).__name__)
def test_errors_travel_between_processes(error: GroupError, values: dict[str, str]) -> None:
    """An error that is pickled or copied keeps its class, its sentence and its values."""
    for travelled in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(travelled) is type(error)
        assert str(travelled) == str(error)
        for name, value in values.items():
            assert getattr(travelled, name).startswith(value)


def test_the_types_of_the_values_of_errors() -> None:
    """The values that errors keep are typed."""
    assert_type(AlreadyExists("a").name, str)
    assert_type(NotFound("a").name, str)
    assert_type(InvalidName("", "it is empty").name, str)
    assert_type(InvalidName("", "it is empty").rule, str)
    assert_type(StartFailed("a.db", "no").database, str)
    assert_type(StartFailed("a.db", "no").reason, str)
