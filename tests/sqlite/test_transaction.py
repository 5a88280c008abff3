"""Transactions whose storage refuses in the midst of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import beryl_groups
from beryl_groups import Groups, StorageFailed
from tests.sqlite.store import connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["file", "memory"])
def groups(request: pytest.FixtureRequest, path: Path) -> Iterator[Groups]:
    """A handle on a file, and on ":memory:", which has to behave alike."""
    with beryl_groups.start(path if request.param == "file" else ":memory:") as handle:
        handle.create("team")
        handle.add("team", "a", "b")
        yield handle


@pytest.mark.usefixtures("triggers_run")
def test_a_call_that_failed_half_way_spoils_the_transaction(groups: Groups) -> None:
    """A storage failure inside cannot be caught and committed around: nothing lands."""
    with groups.transaction() as transaction:
        connection(transaction).execute(
            "CREATE TRIGGER stop BEFORE INSERT ON group_topics WHEN new.topic = 'stop' "
            "BEGIN SELECT RAISE(FAIL, 'stopped'); END"
        )
    with pytest.raises(StorageFailed, match="half way"), groups.transaction() as transaction:  # noqa: PT012
        transaction.create("new")
        with pytest.raises(StorageFailed, match="stopped"):
            transaction.add("team", "start", "stop")
        with pytest.raises(StorageFailed, match="half way"):
            transaction.topics("team")
    assert groups.topics("team") == {"a", "b"}
    assert "new" not in groups
    groups.add("team", "start")


def test_nothing_is_delivered_for_a_transaction_that_could_not_commit(groups: Groups) -> None:
    """Where the commit itself fails, nobody hears of what did not happen."""
    delivered: list[str] = []
    with pytest.raises(StorageFailed), groups.transaction() as transaction:  # noqa: PT012
        transaction.create("half")
        transaction.broadcast(lambda topic, *_: delivered.append(topic), "team", "e", None)
        # A commit that finds a broken reference fails, as one on a full disk does.
        beneath = connection(transaction)
        beneath.execute("PRAGMA defer_foreign_keys = ON")
        beneath.execute("INSERT INTO group_topics VALUES (-1, 'nobody')")
    assert delivered == []
    assert "half" not in groups
    groups.create("half")
