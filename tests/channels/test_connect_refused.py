"""``connect``: what is refused before anything is connected."""

from __future__ import annotations

import importlib
import sys
from fractions import Fraction

import pytest

from beryl_groups.channels import SendFailed, connect
from tests.channels.servers import HOST, LIBRARIES, free_port
from tests.processes import gather


def test_a_missing_library_is_told_with_the_way_to_get_it(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the extra of the package that brings the library."""
    monkeypatch.setitem(sys.modules, LIBRARIES[scheme], None)  # as where it is not installed
    with (
        free_port() as port,
        pytest.raises(SendFailed, match=rf"pip install 'beryl_groups\[{scheme}\]'"),
        connect(f"{scheme}://{HOST}:{port}"),
    ):
        pytest.fail("the block was entered")


def clients_imported() -> set[str]:
    importlib.import_module("beryl_groups.channels")
    return {"paho", "redis", "socketio"} & set(sys.modules)


def test_no_library_is_imported_before_it_is_needed() -> None:
    """The callbacks cost nobody the import of a client that somebody else uses."""
    (imported,) = gather(clients_imported, [()])
    assert imported == set()


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            "",
            "mqtt",
            "http://ada:secret@localhost",
            "rediss://h/0/1",
            "redis+unix://h/path",
            "redis+unix:",
            "mqtts://h/t",
            "mqtt://h/topic",
        ),
        *("mqtt://h:1883?qos=2", "mqtt://h:99999", "redis://h:port", "stdout:file", "stdout://h"),
        *("redis://h/abc", "redis://h/1/2", "redis://ada:secret@h/0?socket_timeout=9"),
        *("rediss://h/0/1", "redis+unix://h/path", "redis+unix:", "redis+unix:///", "mqtts://h/t"),
        *("redis://h/0?unknown=1", "redis://h/0#x", "redis://h/\N{SUPERSCRIPT TWO}"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(wrong: str) -> None:
    """It is a mistake of the caller, told without the password that a URL may hold."""
    with pytest.raises(ValueError, match=r".") as refused, connect(wrong):
        pytest.fail("the block was entered")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 604_801, 10**400])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    """A wait has to be able to end."""
    with pytest.raises(ValueError, match="above 0"), connect("stdout:", timeout=timeout):
        pytest.fail("the block was entered")


@pytest.mark.parametrize("timeout", ["10", None, 1j, True])
def test_a_timeout_that_is_no_number_is_refused(timeout: object) -> None:
    """The sentence says what is expected, and not what Python could not compare."""
    with (
        pytest.raises(TypeError, match="timeout is a number of seconds, not "),
        connect("stdout:", timeout=timeout),  # type: ignore[arg-type]
    ):
        pytest.fail("the block was entered")


def test_a_timeout_may_be_any_kind_of_number() -> None:
    """A fraction is a number of seconds, too, and a week is not too long."""
    for timeout in (Fraction(1, 2), 604_800):
        with connect("stdout:", timeout=timeout):  # type: ignore[arg-type]
            pass
