"""The supervised start: what is started in which order, and what is left when something fails."""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING, Any, assert_type

import pytest

from beryl_groups import Closed, Groups, StartFailed, supervisor
from beryl_groups.supervisor import PartFailed, SupervisedChannels, SupervisedConfig
from tests.processes import together

if TYPE_CHECKING:
    from pathlib import Path


class Part:
    """A context manager that notes what happens to it, and fails where it is told to."""

    def __init__(self, name: str, notes: list[str], *, fails: str = "") -> None:
        self.name = name
        self.notes = notes
        self.fails = fails
        self.given: tuple[object, ...] = ()

    def __enter__(self) -> str:
        self._note("start")
        return f"the {self.name}"

    def __exit__(self, *given: object) -> bool:
        self.given = given
        self._note("stop")
        return True  # one that swallows what it is told of

    def _note(self, what: str) -> None:
        self.notes.append(f"{what} {self.name}")
        if self.fails == what:
            raise OSError(f"{self.name} cannot {what}.")


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def channels(notes: list[str]) -> Part:
    return Part("channels", notes)


@pytest.fixture
def presence(notes: list[str]) -> Part:
    return Part("presence", notes)


def test_plain_objects_are_used_as_they_are(path: Path) -> None:
    """What is no context manager is neither entered nor left, and the groups can be used."""
    events = []
    presence = object()

    def send(topic: str, event: str, payload: object) -> None:
        events.append((topic, event, payload))

    with supervisor.start(SupervisedConfig(send, presence, database=path)) as supervised:
        assert_type(supervised, SupervisedChannels)
        assert_type(supervised.groups, Groups | None)
        assert supervised.channels is send
        assert supervised.presence is presence
        assert supervised.groups is not None
        supervised.groups.create("team")
        supervised.groups.add("team", "room:a")
        supervised.groups.broadcast(supervised.channels, "team", "e", 1)
    assert events == [("room:a", "e", 1)]


def test_context_managers_are_entered_in_order_and_left_in_reverse(
    path: Path, channels: Part, presence: Part, notes: list[str]
) -> None:
    """Channels, presence, groups at the start, and back; what they give on entering is used."""
    supervised = supervisor.start(SupervisedConfig(channels, presence, database=path))
    assert (supervised.channels, supervised.presence) == ("the channels", "the presence")
    groups = supervised.groups
    assert groups is not None
    assert notes == ["start channels", "start presence"]
    groups.create("team")

    supervised.stop()
    assert notes[2:] == ["stop presence", "stop channels"]
    assert channels.given == (None, None, None)
    with pytest.raises(Closed):
        groups.create("late")


def test_groups_are_closed_before_the_presence_is_left(path: Path) -> None:
    """When a part is left, what was started after it has ended."""
    states: list[str] = []

    class Watching:
        def __enter__(self) -> None:
            states.append("no file" if not path.exists() else "file")

        def __exit__(self, *_: object) -> None:
            states.append(repr(supervised.groups))

    supervised = supervisor.start(SupervisedConfig(print, Watching(), database=path))
    supervised.stop()
    assert states == ["no file", f"<Groups of {str(path)!r}, closed>"]


def test_groups_can_be_left_out(channels: Part, notes: list[str], tmp_path: Path) -> None:
    """With ``groups=False`` there are none, no database is needed, and a named one is not made."""
    with supervisor.start(SupervisedConfig(channels, groups=False)) as supervised:
        assert supervised.groups is None
        assert supervised.presence is None
    unused = tmp_path / "unused.db"
    supervisor.start(SupervisedConfig(channels, groups=False, database=unused)).stop()
    assert not unused.exists()
    assert notes == ["start channels", "stop channels"] * 2


def test_groups_without_a_database_are_refused() -> None:
    """There is no default path, and nothing is started before it is told."""
    with pytest.raises(TypeError, match=r"^Groups need a database: .* groups=False\.$"):
        SupervisedConfig(print)


def test_to_stop_twice_is_fine(path: Path, channels: Part, notes: list[str]) -> None:
    """Everything is left once, whoever stops it: twice, in a block, or in several threads."""
    with supervisor.start(SupervisedConfig(channels, database=path)) as supervised:
        supervised.stop()
        supervised.stop()
    supervised = supervisor.start(SupervisedConfig(channels, database=path))
    together(*[supervised.stop] * 8)
    assert notes == ["start channels", "stop channels"] * 2


def test_channels_that_fail_leave_nothing_started(
    path: Path, presence: Part, notes: list[str]
) -> None:
    """The failure is a `StartFailed` with a sentence and its cause, and nothing else is tried."""
    channels = Part("channels", notes, fails="start")
    with pytest.raises(StartFailed) as failed:
        supervisor.start(SupervisedConfig(channels, presence, database=path))
    assert str(failed.value) == "The channels could not be started: channels cannot start."
    assert isinstance(failed.value.__cause__, OSError)
    assert notes == ["start channels"]
    assert not path.exists()


def test_a_presence_that_fails_stops_the_channels(
    path: Path, channels: Part, notes: list[str]
) -> None:
    """The channels are told of the failure, and cannot hide it."""
    presence = Part("presence", notes, fails="start")
    with pytest.raises(PartFailed) as failed:
        supervisor.start(SupervisedConfig(channels, presence, database=path))
    assert failed.value.part == "presence"
    assert notes == ["start channels", "start presence", "stop channels"]
    assert channels.given[1] is failed.value
    assert not path.exists()


def test_groups_that_fail_stop_presence_and_channels(
    tmp_path: Path, channels: Part, presence: Part, notes: list[str]
) -> None:
    """The failure is that of ``beryl_groups.start``, which names the database."""
    missing = tmp_path / "missing" / "groups.db"
    with pytest.raises(StartFailed, match="missing") as failed:
        supervisor.start(SupervisedConfig(channels, presence, database=missing))
    assert failed.value.database == str(missing)
    assert notes == ["start channels", "start presence", "stop presence", "stop channels"]


def test_an_interrupt_on_the_way_stops_what_was_started(
    path: Path, channels: Part, notes: list[str]
) -> None:
    """``KeyboardInterrupt`` unwinds too, and reaches the caller as it is."""

    class Interrupted:
        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None:
            notes.append("stop presence")

    with pytest.raises(KeyboardInterrupt):
        supervisor.start(SupervisedConfig(channels, Interrupted(), database=path))
    assert notes == ["start channels", "stop channels"]


def test_what_cannot_be_unwound_does_not_hide_why(tmp_path: Path, notes: list[str]) -> None:
    """The error tells why nothing was started, and its note that something is left."""
    channels = Part("channels", notes, fails="stop")
    presence = Part("presence", notes)
    with pytest.raises(StartFailed, match="missing") as failed:
        supervisor.start(
            SupervisedConfig(channels, presence, database=tmp_path / "missing" / "groups.db")
        )
    assert failed.value.__notes__ == [
        "Then it could not all be stopped again: OSError('channels cannot stop.')"
    ]
    assert notes[2:] == ["stop presence", "stop channels"]


def test_all_are_stopped_and_the_first_error_is_raised(
    path: Path, notes: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """What fails at the end keeps nothing else from ending; a second error is logged."""
    channels = Part("channels", notes, fails="stop")
    presence = Part("presence", notes, fails="stop")
    supervised = supervisor.start(SupervisedConfig(channels, presence, database=path))
    with pytest.raises(OSError, match="presence cannot stop"):
        supervised.stop()
    assert notes[2:] == ["stop presence", "stop channels"]
    assert supervised.groups is not None
    with pytest.raises(Closed):
        len(supervised.groups)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("beryl_groups", logging.ERROR)
    assert record.exc_info
    assert "channels cannot stop" in str(record.exc_info[1])
    supervised.stop()


def test_a_block_that_raises_tells_the_parts_why(path: Path, channels: Part) -> None:
    """The error of the block reaches each part and the caller, whatever a part returns."""
    config = SupervisedConfig(channels, database=path)
    with pytest.raises(ZeroDivisionError) as raised, supervisor.start(config):
        raise ZeroDivisionError
    assert channels.given[1] is raised.value


def test_the_error_of_a_part_travels_between_processes() -> None:
    """An error that is pickled keeps its class, its sentence and its values."""
    travelled: Any = pickle.loads(pickle.dumps(PartFailed("channels", "the port is in use")))
    assert type(travelled) is PartFailed
    assert str(travelled) == "The channels could not be started: the port is in use."
    assert travelled.part == "channels"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("The port\nis in use.", "The port is in use."),
        ("two\r\nlines\u2028more", "two lines more."),
        ("", "RuntimeError('')."),
    ],
)
def test_the_sentence_about_a_part_is_one_line(said: str, sentence: str) -> None:
    """What the error of a part says ends up in one line, which is never empty."""

    class Failing(Part):
        def __enter__(self) -> str:
            raise RuntimeError(said)

    with pytest.raises(PartFailed) as failed:
        supervisor.start(SupervisedConfig(Failing("channels", []), groups=False))
    assert str(failed.value) == f"The channels could not be started: {sentence}"


def test_a_configuration_shows_no_password() -> None:
    """Its repr, which ends up in logs, leaves out the database, whose URL may hold one."""
    assert "s3cr3t" not in repr(SupervisedConfig(print, database="postgresql://u:s3cr3t@host/name"))
