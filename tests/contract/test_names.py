"""Names: what is given comes back exactly, and what could not come back is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import beryl_groups
from beryl_groups import InvalidName

if TYPE_CHECKING:
    from collections.abc import Callable

    from beryl_groups import Groups

SURROGATES = st.characters(categories=["Cs"])
STORABLE = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=256
)
TOO_LONG = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(
    lambda text: text + "é" * 513
)
BROKEN = st.one_of(
    st.just(""),
    st.tuples(st.text(max_size=5), st.just("\0"), st.text(max_size=5)).map("".join),
    st.tuples(STORABLE, SURROGATES).map("".join),
    TOO_LONG,
)

shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

RULES = [
    ("", "it is empty"),
    ("a\0b", "it holds a NUL character"),
    ("a\ud800", "character 1 is an unpaired surrogate"),
    ("é" * 513, "it has 1,026 bytes in UTF-8, and 1,024 is the most"),
]


@shared
@given(name=STORABLE, topics=st.sets(STORABLE, max_size=5))
def test_any_storable_name_comes_back_as_it_was_given(
    groups: Groups, name: str, topics: set[str]
) -> None:
    """A name of printable or unprintable characters is stored code point by code point."""
    groups.create(name)
    try:
        groups.add(name, *topics)
        assert groups.topics(name) == topics
        assert name in groups
        assert name in groups.list_groups(name)
        assert all(name in groups.groups_of(topic) for topic in topics)
    finally:
        groups.delete(name)


@shared
@given(bad=BROKEN, good=STORABLE)
def test_a_name_that_cannot_be_stored_is_refused_wherever_it_is_given(
    groups: Groups, bad: str, good: str
) -> None:
    """Every call that takes names refuses one that breaks a rule, and stores nothing."""
    groups.create(good)
    try:
        calls: list[Callable[[], object]] = [
            lambda: groups.create(bad),
            lambda: groups.delete(bad),
            lambda: groups.rename(bad, good),
            lambda: groups.rename(good, bad),
            lambda: groups.add(bad, good),
            lambda: groups.add(good, good, bad),
            lambda: groups.remove(bad, good),
            lambda: groups.remove(good, bad),
            lambda: groups.set_topics(bad, [good]),
            lambda: groups.set_topics(good, [good, bad]),
            lambda: groups.topics(bad),
            lambda: groups.groups_of(bad),
            lambda: groups.broadcast(print, bad, "event", None),
            lambda: groups.broadcast(print, [good, bad], "event", None),
            lambda: groups.broadcast(print, good, "event", None, exclude=[bad]),
        ]
        for call in calls:
            with pytest.raises(InvalidName) as refused:
                call()
            assert refused.value.name == bad
        assert bad not in groups
        assert groups.topics(good) == frozenset()
        assert list(groups) == [good]
    finally:
        groups.delete(good)


@pytest.mark.parametrize(("name", "rule"), RULES, ids=["empty", "nul", "surrogate", "length"])
def test_a_refusal_says_which_rule_was_broken(groups: Groups, name: str, rule: str) -> None:
    """The sentence names the rule, and the error is a ``ValueError`` too."""
    with pytest.raises(ValueError, match=rule) as refused:
        groups.create(name)
    assert isinstance(refused.value, InvalidName)


@pytest.mark.parametrize("name", ["x" * 1024, "é" * 512, "😀" * 256], ids=["1", "2", "4"])
def test_a_name_may_have_1024_bytes(groups: Groups, name: str) -> None:
    """The limit counts bytes of UTF-8, whatever the characters take."""
    groups.create(name)
    groups.add(name, name)
    assert groups.topics(name) == {name}
    for longer in (name + "x", "x" + name):
        with pytest.raises(InvalidName):
            groups.add(name, "good", longer)
    assert groups.topics(name) == {name}


def test_a_refused_add_adds_nothing(groups: Groups) -> None:
    """One bad topic among good ones keeps all of them out."""
    groups.create("g")
    with pytest.raises(InvalidName):
        groups.add("g", "good", "")
    assert groups.topics("g") == frozenset()


@pytest.mark.parametrize("name", [None, 5, b"bytes", 1.5, ("a",), ["a"]])
def test_a_name_that_is_no_str_is_a_type_error(groups: Groups, name: object) -> None:
    """Other types are no names, in whatever place they are given."""
    groups.create("g")
    calls: list[Callable[[], object]] = [
        lambda: groups.create(name),  # type: ignore[arg-type]
        lambda: groups.topics(name),  # type: ignore[arg-type]
        lambda: groups.add("g", "good", name),  # type: ignore[arg-type]
        lambda: groups.set_topics("g", ["good", name]),  # type: ignore[list-item]
        lambda: groups.rename("g", name),  # type: ignore[arg-type]
        lambda: groups.groups_of(name),  # type: ignore[arg-type]
        lambda: groups.list_groups(name),  # type: ignore[arg-type]
        lambda: name in groups,
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert groups.topics("g") == frozenset()


def test_a_lone_str_is_not_taken_for_its_letters(groups: Groups) -> None:
    """Where an iterable of names is expected, a ``str`` is a mistake."""
    groups.create("g")
    with pytest.raises(TypeError, match="lone str 'abc'"):
        groups.set_topics("g", "abc")
    with pytest.raises(TypeError, match="lone str 'abc'"):
        groups.broadcast(print, "g", "event", None, exclude="abc")
    with groups.transaction() as transaction, pytest.raises(TypeError):
        transaction.set_topics("g", "abc")
    assert groups.topics("g") == frozenset()


class Shouting(str):
    """A str that shows and compares itself as it likes."""

    __slots__ = ()

    def __str__(self) -> str:
        return "something else"

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1

    def __len__(self) -> int:
        return 0

    def __conform__(self, protocol: object) -> str:
        return "yet another"


def test_a_subclass_of_str_counts_for_its_text(groups: Groups) -> None:
    """What is stored is the text, whatever the subclass makes of itself."""
    groups.create(Shouting("team"))
    groups.add("team", Shouting("a"), Shouting("b"))
    assert list(groups) == ["team"]
    assert groups.topics(Shouting("team")) == {"a", "b"}
    assert {type(topic) for topic in groups.topics("team")} == {str}
    groups.set_topics("team", [Shouting("b"), Shouting("c")])
    assert groups.topics("team") == {"b", "c"}


def test_sql_in_a_name_is_just_a_name(groups: Groups) -> None:
    """Quotes, comments, wildcards and statements in names have no meaning."""
    names = ["'; DROP TABLE groups; --", '"', "%", "_", "?", ":name", "a*", "room[1]", "\\", "NULL"]
    for name in names:
        groups.create(name)
        groups.add(name, *names)
    assert list(groups) == sorted(names)
    for name in names:
        assert groups.topics(name) == set(names)
        assert groups.list_groups(name) == [name]


def test_case_and_normalisation_tell_names_apart(groups: Groups) -> None:
    """Names that look alike are different where their code points are."""
    alike = ["Team", "team", "TEAM", "caf\u00e9", "cafe\u0301", "\ufb01", "fi", " team", "team "]
    for name in alike:
        groups.create(name)
    assert list(groups) == sorted(alike)


@shared
@given(
    names=st.sets(st.text("ab\ud7ff\ue000\uffff\U00010000\U0010ffff", min_size=1, max_size=4)),
    prefix=st.text("ab\ud7ff\ue000\uffff\U00010000\U0010ffff", max_size=3),
    after=st.none() | st.text("ab\0\ud7ff\ue000\uffff\U0010ffff", max_size=4),
    limit=st.none() | st.integers(0, 5),
)
def test_list_groups_gives_the_page_that_a_sorted_list_would(
    groups: Groups, names: set[str], prefix: str, after: str | None, limit: int | None
) -> None:
    """Prefix, after and limit cut the names in code point order, at the edges of Unicode too."""
    for name in groups:
        groups.delete(name)
    with groups.transaction() as transaction:
        for name in names:
            transaction.create(name)
    expected = [
        name
        for name in sorted(names)
        if name.startswith(prefix) and (after is None or name > after)
    ][:limit]
    assert groups.list_groups(prefix, after=after, limit=limit) == expected


def test_paging_through_the_names_gives_each_once(groups: Groups) -> None:
    """Pages that start after the last name of the page before cover all names."""
    names = [f"group:{number:03}" for number in range(25)]
    with groups.transaction() as transaction:
        for name in reversed(names):
            transaction.create(name)
    pages: list[str] = []
    while page := groups.list_groups(after=pages[-1] if pages else None, limit=10):
        pages += page
    assert pages == names
    with pytest.raises(ValueError, match="not -1"):
        groups.list_groups(limit=-1)


def test_a_text_that_sqlite_cannot_compare_is_refused_as_a_bound(groups: Groups) -> None:
    """An unpaired surrogate in ``prefix`` or ``after`` is an `InvalidName`, as elsewhere."""
    with pytest.raises(InvalidName):
        groups.list_groups("\ud800")
    with pytest.raises(InvalidName):
        groups.list_groups(after="\udfff")


def test_the_limit_of_names_is_the_same_in_a_transaction() -> None:
    """A transaction checks names by the same rules as the handle."""
    with (
        beryl_groups.start(":memory:") as groups,
        groups.transaction() as transaction,
        pytest.raises(InvalidName),
    ):
        transaction.create("")
