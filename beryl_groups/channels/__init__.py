"""Ready-made callbacks for ``broadcast``, over a client that the application has already.

Each is a callable ``(topic, event, payload)``, as is any other: a method, a Qt signal's ``emit``.
None imports the library of its client; `connect`, which brings a client of its own, imports it
when it is called.
"""

from beryl_groups.channels.async_callback import from_async
from beryl_groups.channels.connecting import connect
from beryl_groups.channels.errors import SendFailed
from beryl_groups.channels.mqtt_client import mqtt
from beryl_groups.channels.phoenix_frame import phoenix
from beryl_groups.channels.redis_client import redis
from beryl_groups.channels.socketio_server import socketio

__all__ = ["SendFailed", "connect", "from_async", "mqtt", "phoenix", "redis", "socketio"]
