"""``broadcast --to``: sent for real, to brokers that the tests start."""

from __future__ import annotations

import importlib
import json
import signal
import socket
from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING

import pytest

from tests.channels.certificates import Authority, encrypted
from tests.channels.servers import (
    HOST,
    LIBRARIES,
    MqttSubscriber,
    Server,
    free_port,
    mosquitto,
    redis_server,
)
from tests.commandline.running import call, filled, misuse, process, refusal, run
from tests.processes import PATIENCE, wait_until_asleep

if TYPE_CHECKING:
    from pathlib import Path

SCHEMES = list(LIBRARIES)


@pytest.fixture
def team(path: Path) -> Path:
    """A database of one group."""
    return filled(path, {"team": ["room/a", "room/b", "room/c"], "other": ["room/d"]})


def broker(scheme: str, password: str | None = None) -> AbstractContextManager[Server]:
    pytest.importorskip(LIBRARIES[scheme], reason=f"needs the library of {scheme}")
    return {"mqtt": mosquitto, "redis": redis_server}[scheme](password)


def url(scheme: str, port: int, user: str = "") -> str:
    return f"{scheme}://{user}{HOST}:{port}" + ("/0" if scheme == "redis" else "")


BODY = {"event": "deploy", "payload": {"env": "prod"}}


def test_mqtt_has_it_when_the_command_has_ended(team: Path) -> None:
    """Each topic of the group but the excluded gets the event, once, and before what comes next."""
    with broker("mqtt") as server, MqttSubscriber(server.port, "room/+") as subscriber:
        to = ["--to", url("mqtt", server.port)]
        payload = json.dumps(BODY["payload"])
        run("broadcast", team, "team", "deploy", payload, *to, "--exclude", "room/b")
        subscriber.client.publish("end", qos=2)
        received = {topic: json.loads(body) for topic, body in subscriber.until_end()}

    assert received == {"room/a": BODY, "room/c": BODY}


def test_redis_has_it_when_the_command_has_ended(team: Path) -> None:
    """Each topic of the group but the excluded gets the event, once, and before what comes next."""
    with (
        broker("redis") as server,
        importlib.import_module("redis").Redis(HOST, server.port) as client,
        closing(client.pubsub()) as subscription,
    ):
        subscription.psubscribe("*")
        assert subscription.get_message(timeout=PATIENCE)["type"] == "psubscribe"
        to = ["--to", url("redis", server.port)]
        payload = json.dumps(BODY["payload"])
        run("broadcast", team, "team", "deploy", payload, *to, "--exclude", "room/b")
        client.publish("end", "")
        received = {}
        while (message := subscription.get_message(timeout=PATIENCE))["channel"] != b"end":
            received[message["channel"].decode()] = json.loads(message["data"])

    assert received == {"room/a": BODY, "room/c": BODY}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_broker_that_is_not_there_is_a_sentence(scheme: str, team: Path) -> None:
    """Where nobody listens, the command fails at once and says where."""
    pytest.importorskip(LIBRARIES[scheme], reason=f"needs the library of {scheme}")
    with free_port() as port:
        sentence = refusal("broadcast", team, "team", "e", "--to", url(scheme, port))

    assert f"{HOST}:{port}" in sentence


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_broker_that_does_not_answer_is_waited_for_as_told(scheme: str, team: Path) -> None:
    """Where somebody listens and says nothing, `--timeout` ends the wait with a sentence."""
    pytest.importorskip(LIBRARIES[scheme], reason=f"needs the library of {scheme}")
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        arguments = ["team", "e", "--to", url(scheme, port), "--timeout", "0.2"]
        assert f"{HOST}:{port}" in refusal("broadcast", team, *arguments)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_password_is_taken_from_the_url_and_never_shown(scheme: str, team: Path) -> None:
    """The broker is told the password of the URL; a sentence that refuses it does not hold it."""
    user = "ada" if scheme == "mqtt" else ""
    with broker(scheme, "right") as server:
        right, wrong = (url(scheme, server.port, f"{user}:{word}@") for word in ("right", "wr0ng"))
        run("broadcast", team, "team", "e", "--to", right)
        assert "wr0ng" not in refusal("broadcast", team, "team", "e", "--to", wrong)


def test_what_one_topic_cannot_carry_the_others_still_get(path: Path) -> None:
    """A topic that MQTT refuses fails the command, after all others have got the event."""
    filled(path, {"team": ["room/#", "room/a", "room/b"]})
    with broker("mqtt") as server, MqttSubscriber(server.port, "room/+") as subscriber:
        done = call("broadcast", path, "team", "e", "--to", url("mqtt", server.port))
        subscriber.client.publish("end", qos=2)
        received = [topic for topic, _ in subscriber.until_end()]

    assert sorted(received) == ["room/a", "room/b"]
    assert (done.status, done.output) == (1, "")
    assert done.errors.count("\n") == 1
    assert "'room/#'" in done.errors


def test_the_topics_that_are_refused_are_named_up_to_a_few(path: Path) -> None:
    """The first three are named, each once, and the others counted; the reason is the first's."""
    filled(path, {"team": ["room/a", *"#+", "a#", "b#", "c#"]})
    with broker("mqtt") as server:
        sentence = refusal("broadcast", path, "team", "e", "--to", url("mqtt", server.port))

    assert sentence == (
        "5 of the messages could not be sent (to '#', '+', 'a#' and 2 more), the first of "
        "them for this reason: MQTT cannot publish to the topic '#': it holds '#'."
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_payload_that_utf_8_cannot_carry_is_a_sentence(scheme: str, path: Path) -> None:
    """JSON can write an unpaired surrogate, and a broker is not sent it."""
    filled(path, {"team": ["room/a"]})
    with broker(scheme) as server:
        to = url(scheme, server.port)
        sentence = refusal("broadcast", path, "team", "e", '"\\ud800"', "--to", to)

    assert sentence == (
        "1 of the messages could not be sent (to 'room/a'), the first of them for this "
        "reason: The event or the payload holds '\\ud800', an unpaired surrogate, which UTF-8 "
        "cannot carry."
    )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_while_a_broker_is_slow_the_database_is_free(scheme: str, team: Path) -> None:
    """The command holds no connection while it waits for a broker, and Ctrl-C ends the wait."""
    pytest.importorskip(LIBRARIES[scheme], reason=f"needs the library of {scheme}")
    with socket.create_server((HOST, 0)) as silent:
        to = url(scheme, silent.getsockname()[1])
        long = str(2 * PATIENCE)
        with process("broadcast", team, "team", "e", "--to", to, "--timeout", long) as started:
            connection, _ = silent.accept()
            with connection:
                assert [each.name for each in team.parent.iterdir()] == [team.name]
                wait_until_asleep(started.pid)
                started.send_signal(signal.SIGINT)
                _, errors = started.communicate(timeout=PATIENCE)
    assert (started.returncode, errors) == (130, b"Interrupted.\n")


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("https://example.org", "not 'https'"),
        ("room", "not ''"),
        ("stdout:x", "The URL of standard output is stdout: and nothing more."),
        (
            "redis://localhost:port",
            "What follows redis://localhost: is no port from 1 to 65535; a '/'",
        ),
        (
            "mqtt://localhost:99999",
            "What follows mqtt://localhost: is no port from 1 to 65535; a '/'",
        ),
        ("mqtt://localhost:0", "What follows mqtt://localhost: is no port from 1 to 65535; a '/'"),
        ("mqtt://[::1", "The URL cannot be understood: a '/'"),
        ("redis://localhost/0?socket_timeout=9", "A Redis URL is redis://host:port/0,"),
    ],
)
def test_a_url_that_leads_nowhere_is_wrong_usage(team: Path, to: str, reason: str) -> None:
    """A URL of another kind is told before anything is sent."""
    sentence = misuse("broadcast", team, "team", "e", "--to", to)

    assert sentence.startswith("Invalid value for '--to': ")
    assert reason in sentence
    assert sentence.endswith(".\n")


def test_a_url_that_is_no_text_is_wrong_usage(team: Path) -> None:
    """The system hands over any bytes, and those that are no UTF-8 are told as elsewhere."""
    sentence = misuse("broadcast", team, "team", "e", "--to", "mqtt://\udcff:1")

    assert sentence == "Invalid value for '--to': it is not in UTF-8: b'mqtt://\\xff:1'.\n"


def test_standard_output_is_where_it_goes_without_a_url(path: Path) -> None:
    """`--to stdout:` does what is done without `--to`."""
    filled(path, {"team": ["room", "tab\t", '"']})

    assert run("broadcast", path, "team", "e", "1", "--to", "stdout:").raw == (
        run("broadcast", path, "team", "e", "1").raw
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_encrypted_broker_has_it_when_the_command_has_ended(
    scheme: str, team: Path, tmp_path: Path
) -> None:
    """The options give the authority, and the certificate that the broker asks for."""
    pytest.importorskip(LIBRARIES[scheme], reason=f"needs the library of {scheme}")
    authority = Authority(tmp_path / "authority")
    cert, key = authority.issue()
    with encrypted(scheme, authority, (cert, key), asks_for_one=True) as server:
        to = ["--to", {"mqtt": "mqtts", "redis": "rediss"}[scheme] + f"://{HOST}:{server.port}"]
        files = ["--cafile", str(authority.file), "--cert", str(cert), "--key", str(key)]
        run("broadcast", team, "team", "e", *to, *files)
        other = ["--server-name", "example.org"]
        assert "'example.org'" in refusal("broadcast", team, "team", "e", *to, *files, *other)
        assert "trusted here" in refusal("broadcast", team, "team", "e", *to)


@pytest.mark.parametrize("option", ["cafile", "cert", "key", "server_name"])
def test_an_option_that_cannot_be_used_is_wrong_usage(option: str, team: Path) -> None:
    """The option is named, and what it goes with."""
    typed = "--" + option.replace("_", "-")
    arguments = ["broadcast", team, "team", "e", typed, "missing..pem"]
    assert misuse(*arguments) == f"{typed} goes with --to.\n"
    for to in ("mqtt://localhost", "redis+unix:///socket", "stdout:"):
        assert misuse(*arguments, "--to", to).startswith(
            f"Invalid value for '{typed}': {option} goes with mqtts:// and rediss:// alone"
        )
    sentence = misuse(*arguments, "--to", "mqtts://localhost")
    assert sentence.startswith(f"Invalid value for '{typed}': {option}")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_password_of_the_environment_need_not_stand_in_the_command(
    scheme: str, team: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is that of a user without one, and a sentence that refuses it does not hold it."""
    user = "ada@" if scheme == "mqtt" else "default@"
    with broker(scheme, "right") as server:
        monkeypatch.setenv("BERYL_GROUPS_PASSWORD", "right")
        run("broadcast", team, "team", "e", "--to", url(scheme, server.port, user))
        monkeypatch.setenv("BERYL_GROUPS_PASSWORD", "wr0ng")
        to = url(scheme, server.port, user)
        assert "wr0ng" not in refusal("broadcast", team, "team", "e", "--to", to)


def test_what_a_broker_denies_fails_the_command(team: Path, tmp_path: Path) -> None:
    """The exit code is 1, and the sentence names the topics and the broker's reason."""
    pytest.importorskip(LIBRARIES["mqtt"], reason="needs paho-mqtt")
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite room/a\n")
    acl.chmod(0o600)
    with mosquitto(None, f"acl_file {acl}") as server:
        sentence = refusal("broadcast", team, "team", "e", "--to", url("mqtt", server.port))
    assert "(to 'room/b' and 'room/c'): it refuses them (Not authorized)." in sentence
