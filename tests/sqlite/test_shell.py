"""The file in a user's hands: what the sqlite3 shell does to it while a handle is open."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

import beryl_groups
from beryl_groups import NotFound, StorageFailed
from tests.processes import shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from beryl_groups import Groups, Transaction

    Reader = Groups | Transaction
    Model = dict[str, set[str]]

NAMES = ("old", "new", "newer")
TOPICS = ("a", "b", "c")

# What a user types, and what there is afterwards.
EDITS: tuple[tuple[str, Model], ...] = (
    ("INSERT INTO groups (name) VALUES ('new')", {"old": {"a"}, "new": set()}),
    (
        """INSERT INTO group_topics SELECT id, 'b' FROM groups;
        INSERT INTO group_topics SELECT id, 'c' FROM groups WHERE name = 'new'""",
        {"old": {"a", "b"}, "new": {"b", "c"}},
    ),
    (
        "UPDATE groups SET name = 'newer' WHERE name = 'new'",
        {"old": {"a", "b"}, "newer": {"b", "c"}},
    ),
    ("DELETE FROM group_topics WHERE topic = 'b'", {"old": {"a"}, "newer": {"c"}}),
    ("UPDATE group_topics SET topic = 'b' WHERE topic = 'c'", {"old": {"a"}, "newer": {"b"}}),
    ("PRAGMA foreign_keys = ON; DELETE FROM groups WHERE name = 'newer'", {"old": {"a"}}),
    ("DELETE FROM groups", {}),
)


def topics(groups: Reader, name: str) -> set[str] | None:
    try:
        return set(groups.topics(name))
    except NotFound:
        return None


def delivered(groups: Reader) -> list[str]:
    received: list[str] = []
    groups.broadcast(lambda topic, *_: received.append(topic), NAMES, "event", None)
    return received


# Each way to read, and what it has to give for a model. Every one asks the file on its own.
READS: dict[str, tuple[Callable[[Reader], Any], Callable[[Model], Any]]] = {
    "topics": (
        lambda groups: [topics(groups, name) for name in NAMES],
        lambda model: [model.get(name) for name in NAMES],
    ),
    "list_groups": (lambda groups: groups.list_groups(), sorted),
    "groups_of": (
        lambda groups: [groups.groups_of(topic) for topic in TOPICS],
        lambda model: [sorted(name for name in model if topic in model[name]) for topic in TOPICS],
    ),
    "in": (
        lambda groups: [name in groups for name in NAMES],
        lambda model: [name in model for name in NAMES],
    ),
    "len": (len, len),
    "iter": (list, sorted),
    "broadcast": (delivered, lambda model: sorted(set().union(*model.values()))),
}


def make_old(groups: Groups) -> None:
    groups.create("old")
    groups.add("old", "a")


@pytest.mark.parametrize("way", list(READS))
def test_an_edit_is_seen_at_the_next_call(groups: Groups, path: Path, way: str) -> None:
    """Each reading call gives what the shell has inserted, renamed or deleted just before."""
    make_old(groups)
    read, expected = READS[way]
    assert read(groups) == expected({"old": {"a"}})
    for edit, model in EDITS:
        shell(path, edit)
        assert read(groups) == expected(model), edit


def test_an_edit_is_seen_in_the_next_transaction(groups: Groups, path: Path) -> None:
    """Each reading call of a transaction gives what the shell has written before it began."""
    make_old(groups)
    for edit, model in EDITS:
        shell(path, edit)
        with groups.transaction() as transaction:
            for way, (read, expected) in READS.items():
                if way != "broadcast":
                    assert read(transaction) == expected(model), (way, edit)


def test_an_edit_decides_what_the_next_write_finds(groups: Groups, path: Path) -> None:
    """A write stands or falls by what the shell has written just before."""
    shell(path, "INSERT INTO groups (name) VALUES ('made in the shell')")
    with pytest.raises(beryl_groups.AlreadyExists):
        groups.create("made in the shell")
    groups.add("made in the shell", "a")
    shell(path, "DELETE FROM groups")
    with pytest.raises(NotFound):
        groups.add("made in the shell", "b")
    groups.create("made in the shell")


def test_the_shell_shows_what_a_call_wrote(groups: Groups, path: Path) -> None:
    """What a call has written, the shell finds: in the tables, and by names in memberships."""
    make_old(groups)
    assert shell(path, "SELECT group_name, topic FROM memberships") == "old|a\n"
    groups.rename("old", "new")
    assert shell(path, "SELECT group_name, topic FROM memberships") == "new|a\n"
    assert shell(path, "SELECT name FROM groups") == "new\n"


def delete_in_the_shell(groups: Groups, path: Path) -> None:
    """Leave the topics of a group behind, as the shell does with foreign keys off."""
    groups.create("group")
    groups.add("group", "a", "b")
    shell(path, "DELETE FROM groups WHERE name = 'group'")
    left = "SELECT topic FROM group_topics WHERE group_id NOT IN (SELECT id FROM groups)"
    assert shell(path, left) == "a\nb\n"


def test_a_later_group_inherits_nothing(groups: Groups, path: Path) -> None:
    """A group made after one was deleted in the shell has no topics, whatever its name is."""
    delete_in_the_shell(groups, path)
    groups.create("group")
    groups.create("another")
    assert groups.topics("group") == groups.topics("another") == frozenset()


def test_a_later_group_inherits_nothing_after_a_restart(groups: Groups, path: Path) -> None:
    """Nor does one that is made once the application has been started again."""
    delete_in_the_shell(groups, path)
    groups.close()
    with beryl_groups.start(path) as restarted:
        restarted.create("group")
        assert restarted.topics("group") == frozenset()


def test_a_later_group_of_the_shell_inherits_nothing(groups: Groups, path: Path) -> None:
    """Nor does one that is made in the shell, too."""
    delete_in_the_shell(groups, path)
    shell(path, "INSERT INTO groups (name) VALUES ('group')")
    assert groups.topics("group") == frozenset()


def test_topics_without_a_group_are_not_shown(groups: Groups, path: Path) -> None:
    """Neither a read nor a broadcast nor memberships shows what a deleted group has left."""
    delete_in_the_shell(groups, path)
    groups.create("group")
    assert groups.groups_of("a") == []
    received: list[str] = []
    groups.broadcast(lambda topic, *_: received.append(topic), "group", "event", None)
    assert received == []
    assert shell(path, "SELECT * FROM memberships") == ""


def test_topics_without_a_group_are_in_nobodys_way(groups: Groups, path: Path) -> None:
    """The same topics can be added to a later group, and that group can be deleted."""
    delete_in_the_shell(groups, path)
    groups.create("group")
    groups.add("group", "a", "b")
    assert groups.groups_of("a") == ["group"]
    groups.delete("group")
    assert groups.groups_of("a") == []


def test_check_names_the_topics_without_a_group(groups: Groups, path: Path) -> None:
    """check() says how many orphaned rows of which group_id there are and names one of them."""
    make_old(groups)
    delete_in_the_shell(groups, path)
    (problem,) = groups.check()
    assert "2 orphaned rows of the group_id 2" in problem
    assert "'a'" in problem
    shell(path, "DELETE FROM group_topics WHERE group_id NOT IN (SELECT id FROM groups)")
    assert groups.check() == []


def test_check_names_each_deleted_group(groups: Groups, path: Path) -> None:
    """check() gives a sentence for each group that has left topics."""
    for number in (1, 2, 3):
        groups.create(f"group:{number}")
        groups.add(f"group:{number}", f"topic:{number}")
    shell(path, "DELETE FROM groups WHERE id <> 2")
    first, second = groups.check()
    assert "'topic:1'" in first
    assert "'topic:3'" in second


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("INSERT INTO groups (name) VALUES ('')", "it is empty"),
        ("INSERT INTO groups (name) VALUES ('nul' || char(0) || 'inside')", "NUL"),
        ("INSERT INTO groups (name) VALUES (printf('%.2000c', 'x'))", "2,000 bytes"),
        ("INSERT INTO groups (name) VALUES (CAST(x'ff41' AS TEXT))", "no UTF-8"),
        ("INSERT INTO group_topics VALUES (1, '')", "The name of a topic"),
        ("INSERT INTO group_topics VALUES (1, CAST(x'ff' AS TEXT))", "no UTF-8"),
    ],
)
def test_check_names_what_is_no_name(groups: Groups, path: Path, edit: str, said: str) -> None:
    """check() finds a name that the shell has let in and that no call would have taken."""
    make_old(groups)
    shell(path, edit)
    (problem,) = groups.check()
    assert said in problem


def test_what_is_no_text_fails_only_the_call_that_reads_it(groups: Groups, path: Path) -> None:
    """A name that is no UTF-8 raises StorageFailed where it is read; other calls work."""
    make_old(groups)
    shell(path, "INSERT INTO groups (name) VALUES (CAST(x'ff41' AS TEXT))")
    with pytest.raises(StorageFailed):
        groups.list_groups()
    assert groups.topics("old") == {"a"}
    shell(path, "DELETE FROM groups WHERE name <> 'old'")
    assert groups.list_groups() == ["old"]


@pytest.mark.parametrize("value", ["NULL", "'old'", "x'41'"])
def test_the_file_keeps_its_own_rules(groups: Groups, path: Path, value: str) -> None:
    """The shell cannot make a group without a name, with a taken one, or with one of bytes."""
    make_old(groups)
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        shell(path, f"INSERT INTO groups (name) VALUES ({value})")
    assert "groups.name" in refusal.value.stderr
    assert groups.list_groups() == ["old"]
