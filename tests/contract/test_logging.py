"""What the package logs is seen, however the application sets up its logging after the import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import beryl_groups
from tests.processes import PATIENCE

PROGRAM = """
import asyncio
import logging.config
import sys

import beryl_groups
from beryl_groups import aio, channels, supervisor

CONFIGURATION

def broken(*event):
    raise OSError("a peer is away")

class Part:
    def __init__(self, name):
        self.name = name
    def __enter__(self):
        return self
    def __exit__(self, *_):
        raise OSError(self.name)

async def in_tasks(path):
    async with aio.start(path) as groups:
        await groups.broadcast(broken, "team", "of aio", None)

with beryl_groups.start(sys.argv[1]) as groups:
    groups.create("team")
    groups.add("team", "room:a")
    groups.broadcast(broken, "team", "of a handle", None)
    loop = asyncio.new_event_loop()
    groups.broadcast(channels.from_async(broken, loop), "team", "of a loop", None)
    loop.close()
asyncio.run(in_tasks(sys.argv[1]))
config = supervisor.SupervisedConfig(Part("channels is stuck"), Part("presence"), groups=False)
try:
    supervisor.start(config).stop()
except OSError:
    pass
"""

SEEN = [
    "the event 'of a handle' of the group 'team' to the topic 'room:a' failed.",
    "the event 'of a loop' of the group 'team' ended with the event loop of its callback: 1 of 1",
    "the event 'of aio' of the group 'team' to the topic 'room:a' failed.",
    "OSError: a peer is away",
    "Something else could not be stopped either.",
    "OSError: channels is stuck",
]

TO_STDERR = """
CONFIG = {
    "version": 1,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"]},
}
"""

INI = """
open(sys.argv[1] + ".ini", "w").write('''
[loggers]
keys=root
[handlers]
keys=stderr
[formatters]
keys=
[logger_root]
handlers=stderr
[handler_stderr]
class=StreamHandler
args=()
''')
logging.config.fileConfig(sys.argv[1] + ".ini")
"""

DISABLING = {
    "nothing": "",
    "the least": 'logging.config.dictConfig({"version": 1})',
    "dictConfig": TO_STDERR + "logging.config.dictConfig(CONFIG)",
    "twice": TO_STDERR + 2 * "logging.config.dictConfig(CONFIG)\n",
    "of a file": INI,
    "of a logger that it has asked for": (
        TO_STDERR + 'logging.getLogger("beryl_groups")\nlogging.config.dictConfig(CONFIG)'
    ),
    "of all but ours": (
        TO_STDERR + 'CONFIG["loggers"] = {"beryl_groups": {}}\nlogging.config.dictConfig(CONFIG)'
    ),
}

SILENCING = {
    "disabled": 'logging.getLogger("beryl_groups").disabled = True',
    "its level": TO_STDERR
    + """
CONFIG["loggers"] = {"beryl_groups": {"level": "CRITICAL"}}
logging.config.dictConfig(CONFIG)
""",
    "a filter": 'logging.getLogger("beryl_groups").addFilter(lambda record: False)',
    "no handler and no propagation": TO_STDERR
    + """
CONFIG["handlers"]["null"] = {"class": "logging.NullHandler"}
CONFIG["loggers"] = {"beryl_groups": {"propagate": False, "handlers": ["null"]}}
logging.config.dictConfig(CONFIG)
""",
    "all of them": "logging.disable()",
}


def logged(configuration: str, database: str) -> str:
    """Run a program in which all fails that is logged, and return what came to its stderr."""
    program = PROGRAM.replace("CONFIGURATION", configuration)
    beryl_groups.start(database).close()  # here, where to make one takes no time
    ended = subprocess.run(
        [sys.executable, "-c", program, database],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("way", DISABLING)
def test_a_configuration_that_does_not_name_the_package_does_not_silence_it(
    database: str, way: str
) -> None:
    """``disable_existing_loggers`` is on by default, and meant for nobody in particular."""
    seen = logged(DISABLING[way], database)
    assert [line for line in SEEN if line not in seen] == []


@pytest.mark.parametrize("way", SILENCING)
def test_an_application_that_silences_the_package_is_obeyed(database: str, way: str) -> None:
    """What it says of the logger ``beryl_groups`` itself holds."""
    assert logged(SILENCING[way], database) == ""
