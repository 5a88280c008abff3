"""What a program may ask for again at each of its starts."""

from __future__ import annotations

import asyncio

import pytest

import beryl_groups
from beryl_groups import AlreadyExists, Groups, NotFound, aio
from tests.processes import gather


def test_a_group_that_is_there_may_be_no_error(groups: Groups) -> None:
    """With exist_ok create leaves a group as it is, or makes it; without, it refuses."""
    groups.create("team", exist_ok=True)
    groups.add("team", "a")
    groups.create("team", exist_ok=True)
    assert groups.topics("team") == {"a"}
    with pytest.raises(AlreadyExists):
        groups.create("team", exist_ok=False)


def test_a_group_that_is_not_there_may_be_no_error(groups: Groups) -> None:
    """With missing_ok delete takes a group away if there is one; without, it refuses."""
    groups.delete("team", missing_ok=True)
    groups.create("team")
    groups.delete("team", missing_ok=True)
    assert "team" not in groups
    with pytest.raises(NotFound):
        groups.delete("team", missing_ok=False)


def test_add_creates_the_group_where_it_is_asked_to(groups: Groups) -> None:
    """With create add makes the group that is missing, and adds to one that is there."""
    groups.add("team", "a", create=True)
    groups.add("team", "b", "c", create=True)
    groups.add("empty", create=True)
    assert groups.topics("team") == {"a", "b", "c"}
    assert groups.topics("empty") == frozenset()
    with pytest.raises(NotFound):
        groups.add("other", "a")


def test_what_has_been_read_before_is_not_remembered(groups: Groups) -> None:
    """Answers from before such a call are not given after it, whatever they were."""

    def answers() -> list[object]:
        heard: list[str] = []
        groups.broadcast(lambda topic, *_: heard.append(topic), ["a", "b"], "event", None)
        groups.broadcast(lambda topic, *_: heard.append(topic), "a", "event", None)
        return [list(groups), len(groups), "a" in groups, groups.groups_of("t"), heard]

    assert answers() == [[], 0, False, [], []]
    groups.add("a", "t", create=True)
    assert answers() == [["a"], 1, True, ["a"], ["t", "t"]]
    groups.create("a", exist_ok=True)
    groups.delete("b", missing_ok=True)
    assert answers() == [["a"], 1, True, ["a"], ["t", "t"]]
    groups.delete("a", missing_ok=True)
    assert answers() == [[], 0, False, [], []]
    groups.create("a", exist_ok=True)
    assert answers() == [["a"], 1, True, [], []]


def test_a_transaction_takes_them_too(groups: Groups) -> None:
    """In a transaction they do the same, and what they pass over spoils nothing."""
    groups.create("there")
    with groups.transaction() as transaction:
        transaction.create("there", exist_ok=True)
        transaction.delete("missing", missing_ok=True)
        transaction.add("new", "a", create=True)
    assert list(groups) == ["new", "there"]


def test_tasks_ask_for_the_same(database: str) -> None:
    """The methods of the face for asyncio take the same words, alone and in a transaction."""

    async def main() -> None:
        async with aio.start(database) as groups:
            await asyncio.gather(*(groups.create("team", exist_ok=True) for _ in range(5)))
            await asyncio.gather(*(groups.delete("gone", missing_ok=True) for _ in range(5)))
            await asyncio.gather(*(groups.add("new", f"{n}", create=True) for n in range(5)))
            async with groups.transaction() as transaction:
                await transaction.create("team", exist_ok=True)
                await transaction.delete("gone", missing_ok=True)
                await transaction.add("newer", "a", create=True)
            assert await groups.list_groups() == ["new", "newer", "team"]
            assert await groups.topics("new") == set("01234")

    asyncio.run(main())


def provision(database: str, number: int) -> int:
    with beryl_groups.start(database, busy_timeout=60) as groups:
        for turn in range(50):
            groups.create("shared", exist_ok=True)
            groups.add(f"own:{number}:{turn}", "a", create=True)
            groups.delete("shared", missing_ok=True)
            groups.add("shared", f"{number}", create=True)
    return number


def test_processes_that_ask_at_the_same_time_are_all_served(database: str) -> None:
    """Among processes each of them is one step: nobody gets an error that it asked not to get."""
    assert gather(provision, [(database, number) for number in range(4)]) == [0, 1, 2, 3]
    with beryl_groups.start(database) as groups:
        assert len(groups.list_groups("own:")) == 200
