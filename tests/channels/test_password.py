"""``connect``: user and password, and the sockets of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from beryl_groups.channels import SendFailed, connect
from tests.channels.servers import HOST, mosquitto, redis_server

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "BERYL_GROUPS_PASSWORD"
USERS = {"mqtt": ["ada"], "redis": ["default", ""]}


def test_a_user_without_a_password_has_that_of_the_environment(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken as it stands, encodes nothing, and shows nowhere where it is wrong."""
    password = "p@ssw0rd%41/#"
    with {"mqtt": mosquitto, "redis": redis_server}[scheme](password) as server:
        for user in USERS[scheme]:
            url = f"{scheme}://{user}@{HOST}:{server.port}"
            monkeypatch.setenv(VARIABLE, password)
            with connect(url) as channels:
                channels("room/a", "e", None)
            monkeypatch.setenv(VARIABLE, "s3cret")
            refuse(url, server.port)
            monkeypatch.delenv(VARIABLE)
            refuse(url, server.port)


def refuse(url: str, port: int) -> None:
    with pytest.raises(SendFailed, match=f"{HOST}:{port}") as failed, connect(url):
        pytest.fail("the block was entered")
    assert "s3cret" not in str(failed.value)


def test_the_environment_is_for_a_user_without_a_password_alone(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password of the URL goes before it, and a URL without a user is not given one."""
    monkeypatch.setenv(VARIABLE, "right")
    with {"mqtt": mosquitto, "redis": redis_server}[scheme]("right") as server:
        for user in (f"{USERS[scheme][0]}:wrong@", ""):
            with (
                pytest.raises(SendFailed),
                connect(f"{scheme}://{user}{HOST}:{server.port}"),
            ):
                pytest.fail("the block was entered")


def test_a_socket_of_redis_is_a_url(tmp_path: Path) -> None:
    """`redis+unix:` and the path, percent-encoded as in any URL, and a user before it."""
    redis = pytest.importorskip("redis", reason="needs redis-py")
    path = tmp_path / "a socket"
    url = f"{tmp_path}/a%20socket"
    with (
        redis_server("word", "--unixsocket", str(path)) as server,
        redis.Redis(HOST, server.port, password="word") as client,
        client.pubsub() as subscription,
    ):
        subscription.subscribe("room/a")
        assert subscription.get_message(timeout=5)["type"] == "subscribe"
        with connect(f"redis+unix://default:word@{url}") as channels:
            channels("room/a", "e", None)
        assert subscription.get_message(timeout=5)["data"] == b'{"event": "e", "payload": null}'
        with (
            pytest.raises(SendFailed, match=r"^Redis at .*socket cannot be used: "),
            connect(f"redis+unix://{url}"),
        ):
            pytest.fail("the block was entered")
    with (
        pytest.raises(SendFailed, match=r"^Redis at .*nobody cannot be used: "),
        connect(f"redis+unix://{tmp_path}/nobody"),
    ):
        pytest.fail("the block was entered")
