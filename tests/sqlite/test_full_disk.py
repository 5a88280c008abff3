"""What a disk without room does to a call, and to those that come later."""

from __future__ import annotations

import itertools
import re
import resource
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import StorageFailed
from tests import processes
from tests.contract.test_durability import contents

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups

    Call = tuple[str, tuple[Any, ...]]
    Model = dict[str, set[str]]

BULK = [f"bulk:{number}" for number in range(300)]


def test_a_full_disk_fails_the_call_and_no_later_one(path: Path) -> None:
    """Where storage runs out the call raises and leaves nothing; with room again, calls work."""
    acknowledged, found, problems = processes.gather(fill_up_and_recover, [(path,)])[0]
    assert acknowledged
    assert found == {"group": acknowledged | {"afterwards"}}
    assert problems == []
    with beryl_groups.start(path) as groups:
        assert contents(groups) == found


def add_for_ever(groups: Groups, acknowledged: set[str]) -> None:
    for turn in itertools.count():
        topics = [f"{turn}:{number}" for number in range(200)]
        groups.add("group", *topics)
        acknowledged.update(topics)


def fill_up_and_recover(path: Path) -> tuple[set[str], Model, list[str]]:
    """A limit on the size of files stands for the end of the disk."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    acknowledged: set[str] = set()
    with beryl_groups.start(path) as groups:
        groups.create("group")
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limit[1]))
        with pytest.raises(StorageFailed, match=re.escape(str(path))) as failure:
            add_for_ever(groups, acknowledged)
        assert failure.value.__cause__ is not None
        assert contents(groups) == {"group": acknowledged}
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        groups.add("group", "afterwards")
        return acknowledged, contents(groups), groups.check()
