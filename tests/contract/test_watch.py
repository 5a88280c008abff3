"""What a watch tells, and what it does not."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Change, Closed
from tests.contract.watching import Follower, take
from tests.processes import PATIENCE, gather, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from beryl_groups import Groups

AB = frozenset({"a", "b"})
NONE: frozenset[str] = frozenset()


def write_elsewhere(database: str) -> None:
    with beryl_groups.start(database) as groups:
        groups.create("crew")
        groups.add("crew", "a", "b")


def test_each_kind_of_change_is_told(groups: Groups) -> None:
    """A change says what became of which group, and of which topics."""
    with groups.watch() as changes:
        groups.create("team")
        assert take(changes) == [Change("created", "team")]
        groups.add("team", "a", "b")
        assert take(changes) == [Change("added", "team", AB)]
        groups.remove("team", "a")
        assert take(changes) == [Change("removed", "team", frozenset({"a"}))]
        groups.rename("team", "crew")
        assert take(changes) == [Change("renamed", "crew", NONE, "team")]
        groups.delete("crew")
        assert take(changes) == [Change("deleted", "crew", frozenset({"b"}))]


def test_what_another_process_writes_is_told(groups: Groups, database: str) -> None:
    """It does not matter who makes a change."""
    follower = Follower()
    with groups.watch(follower):
        gather(write_elsewhere, [(database,)])
        follower.wait_for({"crew": AB})


def test_the_first_told_is_the_first_after_the_call(groups: Groups) -> None:
    """What was there is not told, and all that comes after the call is."""
    groups.add("before", "a", create=True)
    follower = Follower({"before": {"a"}})
    with groups.watch(follower):
        groups.add("before", "b")
        follower.wait_for({"before": AB})
    assert follower.told == [Change("added", "before", frozenset({"b"}))]


def test_what_is_known_is_where_the_telling_begins(groups: Groups) -> None:
    """The first told is the difference to what the application has, and then there is no gap."""
    groups.add("kept", "a", create=True)
    groups.add("new", "a", "b", create=True)
    known = {"kept": ["a", "gone"], "away": {"a"}}

    with groups.watch(known=known) as changes:
        assert take(changes, 3) == [
            Change("deleted", "away", frozenset({"a"})),
            Change("created", "new", AB),
            Change("removed", "kept", frozenset({"gone"})),
        ]
        groups.rename("kept", "still kept")
        assert take(changes) == [Change("renamed", "still kept", NONE, "kept")]


def test_of_what_is_known_nothing_else_is_told(groups: Groups) -> None:
    """What an application knows of groups that are not watched is left as it is."""
    groups.add("other", "a", create=True)
    known = {"other": ["a"], "team:gone": ["a"]}
    for watched in ({"prefix": "team:"}, {"group": ["team:gone"]}):
        with groups.watch(known=known, **watched) as changes:
            assert take(changes) == [Change("deleted", "team:gone", frozenset({"a"}))]
            groups.create("team:gone")
            assert take(changes) == [Change("created", "team:gone")]
        groups.delete("team:gone")


def test_with_nothing_known_all_there_is_is_told(groups: Groups) -> None:
    """An application that begins with nothing is told of every group as created."""
    groups.add("team", "a", "b", create=True)
    groups.create("empty")
    with groups.watch(known={}) as changes:
        assert take(changes, 2) == [Change("created", "empty"), Change("created", "team", AB)]


def test_what_is_known_exactly_is_not_told(groups: Groups) -> None:
    """A resume where nothing has changed meanwhile is silent."""
    groups.add("team", "a", create=True)
    with groups.watch(known={"team": ["a"]}) as changes:
        groups.create("later")
        assert take(changes) == [Change("created", "later")]


@pytest.mark.parametrize("group", ["team:a", ["team:a"]])
def test_named_groups_alone_are_watched(groups: Groups, group: str | list[str]) -> None:
    """Of groups with other names nothing is told."""
    with groups.watch(group=group) as changes:
        groups.create("team:")
        groups.create("team:a ")
        groups.create("team:a")
        assert take(changes) == [Change("created", "team:a")]


def test_a_rename_into_a_prefix_is_a_creation_and_one_out_of_it_a_deletion(groups: Groups) -> None:
    """To a watch of a prefix a group is there while its name begins with that."""
    groups.add("other", "a", "b", create=True)
    with groups.watch(prefix="team:") as changes, groups.watch(prefix="oth") as others:
        groups.rename("other", "team:new")
        assert take(changes) == [Change("created", "team:new", AB)]
        assert take(others) == [Change("deleted", "other", AB)]
        groups.rename("team:new", "team:old")
        assert take(changes) == [Change("renamed", "team:old", NONE, "team:new")]
        groups.add("team:old", "c")
        groups.rename("team:old", "other")
        assert take(others) == [Change("created", "other", AB | {"c"})]
        follower = Follower({"team:old": AB})
        for change in take(changes):
            follower(change)
        if follower.known:  # the topic was told by itself
            follower(*take(changes))
        follower.wait_for({})


def test_a_swap_of_names_is_told_in_steps_that_are_possible(groups: Groups) -> None:
    """Of two groups that swap their names one is told as deleted, and created at the end."""
    groups.add("a", "of a", create=True)
    groups.add("b", "of b", create=True)
    follower = Follower({"a": {"of a"}, "b": {"of b"}})
    with groups.watch(follower):
        with groups.transaction() as transaction:
            transaction.rename("a", "away")
            transaction.rename("b", "a")
            transaction.rename("away", "b")
        follower.wait_for({"a": {"of b"}, "b": {"of a"}})
    assert [change.kind for change in follower.told] == ["deleted", "renamed", "created"]


def test_a_group_that_is_deleted_and_made_anew_is_two_changes(groups: Groups) -> None:
    """It is another group, even if it has the name of the first."""
    groups.add("team", "a", create=True)
    with groups.watch() as changes:
        with groups.transaction() as transaction:
            transaction.delete("team")
            transaction.add("team", "a", create=True)
        assert take(changes, 2) == [
            Change("deleted", "team", frozenset({"a"})),
            Change("created", "team", frozenset({"a"})),
        ]


def test_nothing_is_told_of_a_transaction_that_was_undone(groups: Groups) -> None:
    """What did not land did not happen."""
    with groups.watch() as changes:
        with suppress(ZeroDivisionError), groups.transaction() as transaction:
            transaction.create("never")
            raise ZeroDivisionError
        groups.create("landed")
        assert take(changes) == [Change("created", "landed")]


def test_nothing_is_told_of_a_transaction_that_is_open(groups: Groups) -> None:
    """A change is told after its commit, and all of a transaction at once."""
    with groups.watch() as changes:
        with groups.transaction() as transaction:
            transaction.add("team", "a", create=True)
            waiting = in_thread(lambda: next(changes))
            with pytest.raises(TimeoutError):
                waiting.result(0.2)
            transaction.add("team", "b")
        assert waiting.result(PATIENCE) == Change("created", "team", AB)


def test_a_restore_tells_what_it_changed(groups: Groups, tmp_path: Path) -> None:
    """A group that is restored as it was is still the same, and nothing is told of it."""
    groups.add("changed", "a", create=True)
    groups.add("same", "a", create=True)
    groups.backup(tmp_path / "copy.db")
    groups.add("changed", "b")
    groups.create("later")
    with groups.watch() as changes:
        groups.restore(tmp_path / "copy.db")
        assert take(changes, 2) == [
            Change("deleted", "later"),
            Change("removed", "changed", frozenset({"b"})),
        ]
        groups.rename("same", "renamed")
        assert take(changes) == [Change("renamed", "renamed", NONE, "same")]


def test_odd_names_are_told_as_they_are(groups: Groups) -> None:
    """A watch of a prefix goes by code points, to the highest there are."""
    names = ["\U0010ffff", "\U0010ffff\U0010ffff", "\ud7ff", "\ue000", "é", "%", "'"]
    for prefix in names:
        model = {name: {prefix} for name in names if name.startswith(prefix)}
        follower = Follower()
        with groups.watch(follower, prefix=prefix):
            for name in names:
                groups.add(name, prefix, create=True)
            follower.wait_for(model)
        for name in names:
            groups.delete(name)


WRONG: dict[str, tuple[Callable[[Groups], object], type[Exception], str]] = {
    "no callback": (lambda groups: groups.watch(1), TypeError, "on_change is a callable"),  # type: ignore[arg-type]
    "both": (lambda groups: groups.watch(group="a", prefix="b"), ValueError, "not of both"),
    "empty name": (lambda groups: groups.watch(group=""), ValueError, "it is empty"),
    "lone str": (lambda groups: groups.watch(known={"a": "bc"}), TypeError, "lone str"),
    "no mapping": (lambda groups: groups.watch(known=["a"]), TypeError, "a mapping"),  # type: ignore[arg-type]
    "no interval": (lambda groups: groups.watch(interval=0), ValueError, "above 0"),
    "NaN": (lambda groups: groups.watch(interval=float("nan")), ValueError, "above 0"),
    "True": (lambda groups: groups.watch(interval=True), TypeError, "number of seconds"),
    "text": (lambda groups: groups.watch(interval="1"), TypeError, "number of seconds"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_cannot_be_watched_is_refused(
    groups: Groups, wrong: tuple[Callable[[Groups], object], type[Exception], str]
) -> None:
    """A sentence says what is wrong with an argument, and no thread is left."""
    call, error, said = wrong
    before = threading.active_count()
    with pytest.raises(error, match=said):
        call(groups)
    assert threading.active_count() == before


def test_a_closed_handle_watches_nothing(groups: Groups) -> None:
    """It is refused as every call is."""
    groups.close()
    with pytest.raises(Closed):
        groups.watch()
