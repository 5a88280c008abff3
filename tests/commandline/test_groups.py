"""The commands that change groups and show them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from tests.commandline.running import filled, refusal, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def teams(path: Path) -> Path:
    """A database of three groups."""
    return filled(path, {"team:web": ["css", "html"], "team:ops": ["css"], "zoo": []})


def contents(path: Path) -> dict[str, list[str]]:
    with beryl_groups.start(path) as groups:
        return {name: sorted(groups.topics(name)) for name in groups}


def test_create_makes_the_database_and_all_groups(path: Path) -> None:
    """`create` makes the file where there is none, for its owner alone, and each group."""
    run("create", path, "b", "a")

    assert contents(path) == {"a": [], "b": []}
    assert path.stat().st_mode & 0o777 == 0o600


def test_create_and_delete_do_all_or_nothing(teams: Path) -> None:
    """Where one of several groups is refused, none is created or deleted."""
    before = contents(teams)

    assert refusal("create", teams, "new", "zoo") == "The group 'zoo' exists already."
    assert refusal("delete", teams, "zoo", "nobody") == "There is no group 'nobody'."

    assert contents(teams) == before
    run("delete", teams, "zoo", "team:web")
    assert contents(teams) == {"team:ops": ["css"]}


def test_a_script_may_run_twice(path: Path) -> None:
    """With --if-missing, --if-exists and --create a command that was done before is no error."""
    for _ in range(2):
        run("create", path, "team", "crew", "--if-missing")
        run("add", path, "--create", "new", "a")
        run("delete", path, "gone", "crew", "--if-exists")
    run("add", path, "team", "b")
    run("create", path, "team", "--if-missing")
    assert contents(path) == {"new": ["a"], "team": ["b"]}


def test_add_makes_the_database_where_it_may_create(path: Path) -> None:
    """`add --create` makes the file where there is none, as `create` does."""
    run("add", path, "team", "a", "--create")
    assert contents(path) == {"team": ["a"]}


def test_rename_keeps_the_topics(teams: Path) -> None:
    """`rename` gives a group another name, and refuses one that is taken."""
    run("rename", teams, "team:web", "team:site")

    assert contents(teams)["team:site"] == ["css", "html"]
    assert refusal("rename", teams, "zoo", "team:ops") == "The group 'team:ops' exists already."
    assert refusal("rename", teams, "team:web", "x") == "There is no group 'team:web'."


def test_add_remove_and_set_change_the_topics(teams: Path) -> None:
    """`add` and `remove` take topics that are there, or not, for no error; `set` is exact."""
    run("add", teams, "zoo", "lion", "ape", "lion")
    run("remove", teams, "zoo", "ape", "unicorn")
    assert contents(teams)["zoo"] == ["lion"]
    run("set", teams, "zoo", "owl", "ape")
    assert contents(teams)["zoo"] == ["ape", "owl"]
    for command in ("add", "remove", "set"):
        assert refusal(command, teams, "nobody", "x") == "There is no group 'nobody'."


@pytest.mark.parametrize("command", ["add", "remove", "set", "delete", "rename"])
def test_only_what_creates_groups_makes_a_database(path: Path, command: str) -> None:
    """A command that needs a group makes no file, and says that there is none."""
    assert refusal(command, path, "a", "b") == (
        f"The database '{path}' cannot be opened: there is no such file."
    )
    assert list(path.parent.iterdir()) == []


def test_list_shows_names_in_code_point_order(teams: Path) -> None:
    """`list` gives one name a line, all or those with a prefix."""
    assert run("list", teams).lines == ["team:ops", "team:web", "zoo"]
    assert run("list", teams, "--prefix", "team:").lines == ["team:ops", "team:web"]
    assert run("list", teams, "--prefix", "nobody").lines == []


def test_list_counts_topics(teams: Path) -> None:
    """`--counts` adds a tab and the number of topics to each name."""
    assert run("list", teams, "--counts").lines == ["team:ops\t1", "team:web\t2", "zoo\t0"]
    assert run("list", teams, "--counts", "--prefix=z").lines == ["zoo\t0"]


def test_a_list_of_any_length_is_whole(path: Path) -> None:
    """`list` gives every name once, however many pages it reads them in."""
    names = [f"group {number:05}" for number in range(2500)]
    run("create", path, "-", stdin="\n".join(names))

    assert run("list", path).lines == names
    assert run("list", path, "--counts").lines == [f"{name}\t0" for name in names]
    assert json.loads(run("list", path, "--json").raw) == names


def test_topics_and_groups_of_show_names_in_code_point_order(teams: Path) -> None:
    """`topics` gives those of a group, and `groups-of` the groups that hold a topic."""
    assert run("topics", teams, "team:web").lines == ["css", "html"]
    assert run("topics", teams, "zoo").lines == []
    assert refusal("topics", teams, "nobody") == "There is no group 'nobody'."
    assert run("groups-of", teams, "css").lines == ["team:ops", "team:web"]
    assert run("groups-of", teams, "nothing").lines == []


def test_json_is_the_same_in_json(teams: Path) -> None:
    """`--json` gives an array with one name a line, or an object for each count."""
    assert run("list", teams, "--json").output == '["team:ops",\n "team:web",\n "zoo"]\n'
    assert run("list", teams, "--json", "--prefix", "nobody").output == "[]\n"
    assert json.loads(run("list", teams, "--counts", "--json", "--prefix=team:").raw) == [
        {"group": "team:ops", "count": 1},
        {"group": "team:web", "count": 2},
    ]
    assert json.loads(run("topics", teams, "team:web", "--json").raw) == ["css", "html"]
    assert json.loads(run("groups-of", teams, "css", "--json").raw) == ["team:ops", "team:web"]


def test_standard_input_stands_for_names(teams: Path) -> None:
    """`-` is the names on standard input, a line each, among others or alone."""
    run("create", teams, "-", stdin="new:1\nnew:2\n")
    run("add", teams, "new:1", "first", "-", "last", stdin="b\r\na c\n\n\nd")
    run("set", teams, "team:web", "-", stdin="")
    run("remove", teams, "team:ops", "-", stdin="css")
    run("delete", teams, "-", stdin="new:2")

    assert contents(teams) == {
        "new:1": ["a c", "b", "d", "first", "last"],
        "team:ops": [],
        "team:web": [],
        "zoo": [],
    }


def test_commands_work_together_in_pipes(teams: Path) -> None:
    """What one command prints another takes on standard input."""
    run("create", teams, "copy")
    run("set", teams, "copy", "-", stdin=run("topics", teams, "team:web").raw)
    run("delete", teams, "-", stdin=run("groups-of", teams, "html").raw)

    assert contents(teams) == {"team:ops": ["css"], "zoo": []}


def test_a_url_names_a_database_too(teams: Path) -> None:
    """DB may be a SQLAlchemy URL, as `start` takes it."""
    assert run("list", f"sqlite:///{teams}").lines == ["team:ops", "team:web", "zoo"]


def test_a_database_in_memory_is_refused(teams: Path) -> None:
    """What would be gone with the command is refused, whether it reads or writes."""
    for command in (["list"], ["create", "a"], ["check"]):
        sentence = refusal(command[0], ":memory:", *command[1:])
        assert sentence == "A database in memory ends with its process: name a file."
