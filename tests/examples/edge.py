"""A hub that switches groups of devices together, over MQTT: ``python tests/examples/edge.py``.

The devices speak as those with Tasmota do. Needs paho-mqtt, and a broker such as Mosquitto.

===========================  ========  ==========================================================
publish to                   the text  and the hub
===========================  ========  ==========================================================
groups/GROUP/add             TOPIC     puts the device into the group, which it makes if need be
groups/GROUP/remove          TOPIC     takes the device out of the group
groups/GROUP/cmnd/COMMAND    VALUE     publishes VALUE to cmnd/TOPIC/COMMAND of each of its devices
===========================  ========  ==========================================================

    mosquitto_pub -q 1 -t groups/kitchen/add -m lamp
    mosquitto_pub -q 1 -t groups/kitchen/cmnd/POWER -m ON

The power may be cut at any time. The groups are in the file, whole, and the broker keeps the
session: it sends again what the hub had not confirmed, and the hub confirms a message when its
work is done. So a cut loses nothing that was published with QoS 1, and something may be done twice,
which ON and OFF can stand (TOGGLE cannot). What cannot be done, as when the disk is full, is logged
and confirmed: it is lost, and does not keep back what comes after it.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

import beryl_groups
from beryl_groups import Groups, InvalidName, NotFound, StartFailed, StorageFailed, channels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paho.mqtt.client import MQTTMessage

logger = logging.getLogger("hub")

PATIENCE = 30.0
"""Seconds for which a message waits for another program that holds the file."""

TOPICS = ("groups/+/add", "groups/+/remove", "groups/+/cmnd/+")


class Hub:
    """What is between the broker, the groups and the devices."""

    def __init__(self, groups: Groups, client: Client) -> None:
        self.groups = groups
        self.client = client
        client.on_connect = self.on_connect
        client.on_connect_fail = self.on_connect_fail
        client.on_disconnect = self.on_disconnect
        client.on_subscribe = self.on_subscribe
        client.on_message = self.on_message
        self.to_devices = channels.mqtt(
            client,
            qos=1,
            topic=lambda topic, event: f"cmnd/{topic}/{event}",
            body=lambda _event, payload: payload,
        )

    def run(self) -> None:
        """Serve until an exception, such as that of Ctrl-C, and connect again as often as needed.

        All happens in this thread: the next message waits until the one before is dealt with.
        """
        try:
            self.client.loop_forever(retry_first_connection=True)
        finally:
            self.client.disconnect()

    def on_connect(self, client: Client, _data: Any, _flags: Any, answer: Any, _: Any) -> None:
        if answer.is_failure:
            logger.error("The broker refuses: %s.", answer)
            return
        client.subscribe([(topic, 1) for topic in TOPICS])

    def on_subscribe(self, *_: object) -> None:
        logger.info("Ready, with %d groups.", len(self.groups))

    def on_connect_fail(self, _client: Client, _data: Any) -> None:
        logger.warning("No connection to the broker.")

    def on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _: Any) -> None:
        logger.warning("Disconnected: %s.", reason)

    def on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            self.handle(message.topic, message.payload.decode())
        except (NotFound, InvalidName, UnicodeDecodeError) as error:
            logger.warning("%s: %s", message.topic, error)
        except StorageFailed as error:
            logger.error("%s: %s", message.topic, error)  # noqa: TRY400 - it is a sentence
        client.ack(message.mid, message.qos)

    def handle(self, topic: str, text: str) -> None:
        _, group, *action = topic.split("/")
        match action:
            case ["add"]:
                with self.groups.transaction() as transaction:
                    if group not in transaction:
                        transaction.create(group)
                    transaction.add(group, text)
            case ["remove"]:
                self.groups.remove(group, text)
            case ["cmnd", command]:
                self.groups.broadcast(self.to_devices, group, command, text)


def connected(arguments: argparse.Namespace) -> Client:
    """Return a client that connects when it is run, to a session that outlives it."""
    client = Client(
        CallbackAPIVersion.VERSION2, arguments.client_id, clean_session=False, manual_ack=True
    )
    if arguments.user is not None:
        client.username_pw_set(arguments.user, os.environ.get("MQTT_PASSWORD"))
    # No message may wait its turn in the client: it would leave after the confirmation of the
    # command that it is for.
    client.max_inflight_messages_set(0)
    client.reconnect_delay_set(1, 30)
    client.connect_async(arguments.host, arguments.port)
    return client


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Switch groups of devices together, over MQTT.",
        epilog="The password of --user is taken from the environment variable MQTT_PASSWORD.",
    )
    parser.add_argument("--database", default="groups.db", help="the file of the groups")
    parser.add_argument("--host", default="localhost", help="where the broker is")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--user", help="whom the broker knows")
    parser.add_argument("--client-id", default="beryl-hub", help="one that no other client has")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    parsed = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does
    with suppress(KeyboardInterrupt):
        try:
            groups = beryl_groups.start(parsed.database, busy_timeout=PATIENCE)
        except StartFailed as error:
            logger.error("%s", error)  # noqa: TRY400 - it is a sentence
            return 1
        with groups:
            Hub(groups, connected(parsed)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
