from __future__ import annotations

import pytest

from tests.channels.servers import LIBRARIES


@pytest.fixture(params=list(LIBRARIES))
def scheme(request: pytest.FixtureRequest) -> str:
    """The brokers that a URL can lead to, where their library is installed."""
    scheme = str(request.param)
    pytest.importorskip(LIBRARIES[scheme], reason=f"needs the library of {scheme}")
    return scheme
