"""Whatever a caller hands over to open a database is taken for what it is, or refused."""

from __future__ import annotations

import decimal
import fractions
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import beryl_groups
from beryl_groups import StartFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

from tests.contract.odd import NO_NUMBER, NO_PATH, ODD, Hostile, Level, MineError, raising


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
