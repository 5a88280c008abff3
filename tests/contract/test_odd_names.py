"""Whatever a caller hands over as a name is taken for what it is, or refused and nothing done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beryl_groups import Groups, InvalidName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

from tests.contract.odd import NO_TEXT, NO_WHOLE_NUMBER, ODD, TOPICS, Hostile, MineError, raising


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
