"""Groups for asyncio: the methods of ``beryl_groups``, awaited.

The examples are as one types them at ``python -m asyncio``, where ``await`` stands by itself.

>>> from beryl_groups import aio
>>> async with aio.start(":memory:") as groups:
...     await groups.create("team:engineering")
...     await groups.add("team:engineering", "room:frontend", "room:backend")
...     await groups.broadcast(print, "team:engineering", "deploy_started", {"env": "prod"})
room:backend deploy_started {'env': 'prod'}
room:frontend deploy_started {'env': 'prod'}
"""

from beryl_groups.aio.groups import AsyncGroups
from beryl_groups.aio.starting import start
from beryl_groups.aio.transaction import AsyncTransaction
from beryl_groups.aio.watch import AsyncWatch

__all__ = ["AsyncGroups", "AsyncTransaction", "AsyncWatch", "start"]
