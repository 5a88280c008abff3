"""Whatever a caller can hand over: it is taken for what it is, or refused and nothing done."""

from __future__ import annotations

import decimal
import fractions
import logging
import os
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import beryl_groups
from beryl_groups import Closed, GroupError, Groups, InvalidName, NotFound, StartFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

TOPICS = ("a", "b")


class MineError(Exception):
    """What the caller's own code raises."""


def raising(*_: object, **__: object) -> Any:
    raise MineError


class Hostile(str):
    """A str none of whose own methods can be called."""

    __slots__ = ()

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = raising
    __hash__ = __len__ = __iter__ = __bool__ = __contains__ = __getitem__ = raising
    __str__ = __repr__ = __format__ = __add__ = __radd__ = __mod__ = raising
    encode = startswith = join = strip = raising


class Sealed:
    """An object that does not even show itself."""

    __repr__ = __str__ = __bool__ = __hash__ = __eq__ = raising


class Pretender:
    """An object that says that it is a str."""

    @property
    def __class__(self) -> type:
        return str

    @__class__.setter
    def __class__(self, _: type) -> None: ...


class Level(str, Enum):  # noqa: UP042 - which shows itself as Level.NORMAL
    """An option as many keep theirs."""

    NORMAL = "normal"


def deep(levels: int) -> Any:
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


# By name, for pytest itself cannot handle some of them.
ODD: dict[str, Callable[[], Any]] = {
    "sealed": Sealed,
    "pretender": Pretender,
    "object": object,
    "ellipsis": lambda: ...,
    "a huge number": lambda: 10**4000,
    "a long list": lambda: ["a"] * 10**6,
    "deep": lambda: deep(10**5),
    "bytes": lambda: b"full",
    "text": lambda: "5",
    "hostile": lambda: Hostile("off"),
    "none": lambda: None,
    "complex": lambda: 1j,
    "float": lambda: 1.5,
    "dict": dict,
    "decimal": lambda: decimal.Decimal(1),
}
NO_TEXT = ODD.keys() - {"text", "hostile"}
NO_WHOLE_NUMBER = ODD.keys() - {"a huge number", "none"}
NO_NUMBER = ODD.keys() - {"a huge number", "float", "decimal"}
NO_PATH = ODD.keys() - {"text", "hostile"}


@pytest.fixture
def team(groups: Groups) -> Groups:
    groups.create("team")
    groups.add("team", *TOPICS)
    return groups


def calls_with(groups: Any, thing: Any) -> list[Callable[[], object]]:
    """Return calls that take the thing in each place where a name may stand."""
    return [
        lambda: groups.create(thing),
        lambda: groups.delete(thing),
        lambda: groups.rename(thing, "new"),
        lambda: groups.rename("team", thing),
        lambda: groups.add(thing, "x"),
        lambda: groups.add("team", "x", thing),
        lambda: groups.remove("team", "a", thing),
        lambda: groups.set_topics(thing, ["x"]),
        lambda: groups.set_topics("team", ["x", thing]),
        lambda: groups.topics(thing),
        lambda: groups.groups_of(thing),
        lambda: thing in groups,
        lambda: groups.list_groups(thing),
        lambda: groups.list_groups(after=thing),
        lambda: groups.broadcast(print, ["team", thing], "event", None),
        lambda: groups.broadcast(print, "team", "event", None, exclude=[thing]),
    ]


@pytest.mark.parametrize("inside", [False, True], ids=["handle", "transaction"])
@pytest.mark.parametrize("odd", sorted(NO_TEXT))
def test_what_is_no_str_is_a_type_error_of_a_short_sentence(
    team: Groups, odd: str, inside: bool
) -> None:
    """Whatever it is or says that it is, and however long it would be to show."""
    thing = ODD[odd]()
    if odd == "none":
        thing = type(None)  # for None itself means "no bound" to one of the calls

    def try_all(groups: object) -> None:
        for call in calls_with(groups, thing):
            with pytest.raises(TypeError) as caught:
                call()
            assert len(str(caught.value)) < 300

    if inside:
        with team.transaction() as transaction:
            try_all(transaction)
            transaction.add("team", "c")
        assert team.topics("team") == {"a", "b", "c"}
    else:
        try_all(team)
        assert team.topics("team") == {"a", "b"}
    assert list(team) == ["team"]


def test_a_str_with_methods_of_its_own_counts_for_its_text(team: Groups) -> None:
    """None of them is called, in whatever place it stands."""
    received: list[str] = []
    team.create(Hostile("odd"))
    team.add(Hostile("odd"), Hostile("x"), "y")
    team.remove(Hostile("odd"), Hostile("y"))
    team.rename(Hostile("odd"), Hostile("odder"))
    assert list(team) == ["odder", "team"]
    assert Hostile("odder") in team
    assert team.topics(Hostile("odder")) == {"x"}
    assert team.groups_of(Hostile("x")) == ["odder"]
    assert team.list_groups(Hostile("od"), after=Hostile("a")) == ["odder"]
    team.set_topics(Hostile("odder"), [Hostile("z"), Hostile("a")])
    team.broadcast(
        lambda topic, *_: received.append(topic),
        [Hostile("odder"), "team"],
        "event",
        None,
        exclude=[Hostile("b")],
    )
    assert received == ["a", "z"]
    with pytest.raises(TypeError, match="lone str"):
        team.set_topics("team", Hostile("abc"))
    team.delete(Hostile("odder"))
    assert {type(name) for name in [*team, *team.topics("team")]} == {str}


def iterables(groups: Groups) -> Iterator[tuple[Iterable[Any], type[Exception] | None]]:
    """Give iterables of names that go wrong, or odd ways, and what comes of each."""

    def fails_at_last() -> Iterator[str]:
        yield "x"
        raise MineError

    def writes_meanwhile() -> Iterator[str]:
        groups.add("log", "read")
        yield "x"
        with groups.transaction() as transaction:
            transaction.add("log", "read again")
        yield "y"

    def grows() -> Iterator[str]:
        found = {"x": 1}
        for name in found:
            found[name + "x"] = 1
            yield name

    class NoIterator:
        __iter__ = raising

    yield fails_at_last(), MineError
    yield NoIterator(), MineError
    yield grows(), RuntimeError
    yield b"xy", TypeError
    yield 5, TypeError  # type: ignore[misc]
    yield None, TypeError  # type: ignore[misc]
    yield [["x"]], TypeError
    yield ["x", ""], InvalidName
    yield writes_meanwhile(), None
    yield {"x": 1, "y": 2}, None
    yield {"x": 1, "y": 2}.keys(), None
    yield reversed(["x", "y"]), None
    yield ("x", "y", "x"), None
    yield frozenset("xy"), None
    yield map(str, "xy"), None


@pytest.mark.parametrize("number", range(15))
def test_an_iterable_is_read_once_before_anything_is_done(team: Groups, number: int) -> None:
    """What it raises reaches the caller as it is, and it may use the handle as it is read."""
    team.create("log")

    def one() -> tuple[Iterable[Any], type[Exception] | None]:
        return list(iterables(team))[number]

    names, error = one()
    calls: list[Callable[[], object]] = [
        lambda: team.set_topics("team", names),
        lambda: team.broadcast(raising, one()[0], "event", None),
        lambda: team.broadcast(raising, "log", "event", None, exclude=one()[0]),
    ]
    for call in calls:
        if error is None:
            call()
        else:
            with pytest.raises(error):
                call()
            assert team.topics("team") == {"a", "b"}
    if error is None:
        assert team.topics("team") == {"x", "y"}


def test_an_iterable_that_fails_spoils_no_transaction(team: Groups) -> None:
    """It is read before the transaction is asked for anything, which then goes on."""

    def fails() -> Iterator[str]:
        yield "x"
        raise MineError

    with team.transaction() as transaction:
        transaction.create("new")
        with pytest.raises(MineError):
            transaction.set_topics("team", fails())
        transaction.add("new", "y")
    assert team.topics("new") == {"y"}
    assert team.topics("team") == {"a", "b"}


@pytest.mark.parametrize("odd", sorted(NO_WHOLE_NUMBER))
def test_a_limit_that_is_no_whole_number_is_a_type_error(team: Groups, odd: str) -> None:
    """What is no whole number is none, whatever it can be made of."""
    with pytest.raises(TypeError):
        team.list_groups(limit=ODD[odd]())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(limit=st.integers() | st.booleans() | st.sampled_from([2**63, 10**400, -(10**400)]))
def test_a_limit_of_any_size_is_a_limit(team: Groups, limit: int) -> None:
    """More than there can be is all there is; less than none is refused."""
    if limit < 0:
        with pytest.raises(ValueError, match="limit"):
            team.list_groups(limit=limit)
    else:
        assert team.list_groups(limit=limit) == ["team"][:limit]


@pytest.mark.parametrize(
    "busy_timeout", [0, True, 0.0, decimal.Decimal("0.5"), fractions.Fraction(1, 3), 10**400, 1e300]
)
def test_a_busy_timeout_may_be_any_kind_of_number(path: Path, busy_timeout: Any) -> None:
    """Whatever can be compared with numbers and is 0 or more, however much that is."""
    with beryl_groups.start(path, busy_timeout=busy_timeout) as groups:
        groups.create("team")
        with groups.transaction() as transaction:
            transaction.add("team", "a")
        assert groups.topics("team") == {"a"}


@pytest.mark.parametrize("odd", sorted(NO_NUMBER - {"hostile"}))
def test_a_busy_timeout_that_is_no_number_is_a_type_error(path: Path, odd: str) -> None:
    """It says so, and no file is made."""
    with pytest.raises(TypeError, match="busy_timeout is a number of seconds"):
        beryl_groups.start(path, busy_timeout=ODD[odd]()).close()
    assert not path.exists()


@pytest.mark.parametrize("odd", sorted(ODD))
def test_an_odd_synchronous_is_a_value_error(path: Path, odd: str) -> None:
    """What is not one of the two words is refused, and no file is made."""
    with pytest.raises(ValueError, match="synchronous is"):
        beryl_groups.start(path, synchronous=ODD[odd]()).close()
    assert not path.exists()


@pytest.mark.parametrize("kind", [Level, Hostile])
def test_a_word_that_shows_itself_otherwise_counts_for_its_text(
    path: Path, kind: Callable[[str], Any]
) -> None:
    """A member of an Enum of strings is such a word."""
    with beryl_groups.start(path, synchronous=kind("normal")) as groups:
        read = groups._write(lambda connection: connection.execute("PRAGMA synchronous").fetchone())
        assert read == (1,)


class Named:
    """A path of the caller's own kind."""

    def __init__(self, name: Any) -> None:
        self.name = name

    def __fspath__(self) -> Any:
        return raising() if self.name is None else self.name


@pytest.mark.parametrize(
    ("database", "error"),
    [
        (Named(b"groups.db"), TypeError),
        (Named(5), TypeError),
        (Named(None), MineError),
        (".", StartFailed),
        ("..", StartFailed),
        ("/", StartFailed),
        ("/dev/null", StartFailed),
        ("/dev/zero", StartFailed),
        ("/proc/self/mem", StartFailed),
        ("\ud800.db", StartFailed),
        ("x" * 100_000, StartFailed),
        ("x/" * 5_000, StartFailed),
        ("://", StartFailed),
        ("sqlite://\0", StartFailed),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_odd_database_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Any, error: type[Exception]
) -> None:
    """With an error that is ours or the caller's own, and no file is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error):
        beryl_groups.start(database).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("odd", sorted(NO_PATH))
def test_what_is_no_path_is_a_type_error(odd: str) -> None:
    """Nothing but text and paths names a database."""
    with pytest.raises(TypeError):
        beryl_groups.start(ODD[odd]()).close()


@pytest.mark.parametrize("kind", [Hostile, Named])
def test_a_path_that_shows_itself_otherwise_counts_for_its_text(
    path: Path, kind: Callable[[str], Any]
) -> None:
    """It opens the file that it names."""
    with beryl_groups.start(kind(os.fspath(path))) as groups:
        groups.create("team")
        assert path.name in repr(groups)
    assert path.exists()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20
)
@given(text=st.text(max_size=20))
def test_any_text_names_a_database_or_is_refused(tmp_path: Path, text: str) -> None:
    """No text raises anything but `StartFailed`."""
    with pytest.MonkeyPatch.context() as patch, suppress(StartFailed):
        patch.chdir(tmp_path)
        with beryl_groups.start(text) as groups:
            assert groups.check() == []


ODD_CALLBACKS: list[Any] = [
    raising,
    int,
    type,
    lambda: None,
    lambda topic: None,
    MineError,
    Sealed,
    [].append,
    "".join,
]


@pytest.mark.parametrize("callback", ODD_CALLBACKS)
def test_a_callback_that_takes_something_else_is_one_that_fails(
    team: Groups, caplog: pytest.LogCaptureFixture, callback: Any
) -> None:
    """Each topic has its record in the log, and nothing is raised."""
    with team.transaction() as transaction:
        transaction.broadcast(callback, "team", "event", None)
    team.broadcast(callback, "team", "event", None)
    failed = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(failed) == (0 if callback is MineError else 4)


@pytest.mark.parametrize("odd", sorted(ODD))
def test_what_cannot_be_called_is_a_type_error(team: Groups, odd: str) -> None:
    """It is told at the call, in a transaction too, and not once for each topic."""
    callback = ODD[odd]()
    with pytest.raises(TypeError, match="channels is a callable"):
        team.broadcast(callback, "team", "event", None)
    with team.transaction() as transaction, pytest.raises(TypeError, match="a callable"):
        transaction.broadcast(callback, "team", "event", None)


def test_any_payload_and_event_are_handed_over_as_they_are(team: Groups) -> None:
    """Nothing is asked of them: neither to show themselves nor to be compared."""
    received: list[tuple[object, object]] = []
    payload, event = Sealed(), Hostile("event")
    for channels in (lambda *given: received.append(given[1:]), raising):
        logger = logging.getLogger("beryl_groups")
        logger.disabled = True  # to show such an event is for the handlers of the application
        try:
            team.broadcast(channels, "team", event, payload)
        finally:
            logger.disabled = False
    assert len(received) == 2
    assert all(each[0] is event and each[1] is payload for each in received)


def test_a_callback_may_end_what_it_is_called_by(team: Groups) -> None:
    """It deletes the group, begins transactions within and closes the handle: all get theirs."""
    received: list[str] = []

    def ends(topic: str, event: str, payload: object) -> None:
        received.append(topic)
        if topic == "a":
            team.delete("team")
            with team.transaction() as transaction:
                transaction.create("again")
                transaction.broadcast(ends, ["again"], "inner", None)
            team.close()

    with team.transaction() as transaction:
        transaction.broadcast(ends, "team", "event", None)
        transaction.broadcast(ends, "team", "event", None)
    assert received == ["a", "b", "a", "b"]
    with pytest.raises(Closed):
        team.create("late")


def test_a_name_in_an_error_is_no_more_than_text(team: Groups) -> None:
    """An error keeps the plain text, which can be shown wherever the error goes."""
    with pytest.raises(NotFound) as caught:
        team.topics(Hostile("nobody"))
    assert str(caught.value) == "There is no group 'nobody'."
    with pytest.raises(InvalidName) as refused:
        team.create(Hostile("\0"))
    assert "NUL" in str(refused.value)
    assert isinstance(refused.value, GroupError)
