"""A proxy in a process of its own, so that it takes no turn of the interpreter that is measured."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.postgresql.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def far_from(port: int, delay: float) -> Iterator[int]:
    """Give a port that leads to the other, with so many seconds more on each way."""
    command = [sys.executable, "-m", "tests.postgresql.far", str(port), str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as proxy:
        assert proxy.stdin is not None
        assert proxy.stdout is not None
        try:
            yield int(proxy.stdout.readline())
        finally:
            proxy.stdin.close()  # which is what it waits for


def main() -> None:
    with Proxy(int(sys.argv[1]), delay=float(sys.argv[2])) as proxy:
        print(proxy.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
