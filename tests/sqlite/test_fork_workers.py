"""Forks that several threads make at once, and those that multiprocessing makes."""

from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

import beryl_groups
from tests.contract.test_fork import make_group
from tests.processes import PATIENCE, Fork, finish, gather, together

if TYPE_CHECKING:
    from pathlib import Path

    from beryl_groups import Groups

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork"),
    # Python 3.12 and later warn of every fork beside threads, for the sake of locks that they
    # hold. That such a fork does no harm to a handle is what is shown here.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def fork_in_threads(path: Path) -> None:
    sys.setswitchinterval(1e-5)  # to have them meet everywhere

    def fork_often(worker: int) -> None:
        for number in range(20):
            Fork(partial(add_to_group, path, f"{worker}:{number}")).result()

    with beryl_groups.start(path, busy_timeout=PATIENCE) as groups:
        make_group(groups)
        together(*(partial(fork_often, worker) for worker in range(4)))
        expected = {f"{worker}:{number}" for worker in range(4) for number in range(20)}
        assert groups.topics("group") == expected | {"a"}
        assert groups.check() == []


def test_threads_may_fork_at_the_same_time(path: Path) -> None:
    """Forks of several threads at once wait for one another, and each child can open the file."""
    gather(fork_in_threads, [(path,)])


def add_to_group(path: Path, topic: str) -> None:
    with beryl_groups.start(path, busy_timeout=PATIENCE) as groups:
        groups.add("group", topic)


def test_multiprocessing_may_fork_beside_an_open_handle(groups: Groups, path: Path) -> None:
    """Processes of multiprocessing's "fork" method use the file while the parent goes on."""
    make_group(groups)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=add_to_group, args=(path, f"{n}")) for n in range(4)]
    for process in processes:
        process.start()
        groups.add("group", f"beside {process.pid}")
    pids = [process.pid for process in processes]
    for process in processes:
        finish(process)
    assert groups.topics("group") == {"a", *"0123", *(f"beside {pid}" for pid in pids)}


def test_a_pool_of_processes_may_fork_beside_an_open_handle(groups: Groups, path: Path) -> None:
    """So do the workers of a pool that forks."""
    make_group(groups)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for _ in pool.map(partial(add_to_group, path), map(str, range(10))):
            groups.create(f"beside {len(groups)}")
    assert groups.topics("group") == {"a", *map(str, range(10))}
    assert len(groups) == 11
