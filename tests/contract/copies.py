"""What the tests of backups and restores fill databases with, and look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import beryl_groups

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups


def contents(groups: Groups) -> dict[str, frozenset[str]]:
    return {name: groups.topics(name) for name in groups}


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def fill(groups: Groups) -> None:
    groups.create("group")
    groups.add("group", *(f"topic:{number}" for number in range(5000)))
    groups.create("empty")


def made(path: Path, groups_of_it: dict[str, set[str]]) -> Path:
    with beryl_groups.start(":memory:") as groups:
        for name, topics in groups_of_it.items():
            groups.create(name)
            groups.set_topics(name, topics)
        groups.backup(path)
    return path
