"""What a call that returned is worth: it outlives the end of its process, however sudden."""

from __future__ import annotations

import itertools
import os
import random
import signal
from typing import TYPE_CHECKING, Any, Literal

import pytest

import beryl_groups
from tests import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from beryl_groups import Groups, Transaction

    Call = tuple[str, tuple[Any, ...]]
    Model = dict[str, set[str]]

BULK = [f"bulk:{number}" for number in range(300)]


def calls() -> Iterator[Call]:
    """Go on for ever with calls of every kind that writes, each of which succeeds."""
    for turn in itertools.count():
        group, other = f"group:{turn}", f"other:{turn}"
        yield "create", (group,)
        yield "add", (group, "a", f"b:{turn}")
        yield "add", (group, *BULK)
        yield "remove", (group, *BULK[::2])
        yield "set_topics", (group, ["a", f"c:{turn}"])
        yield "rename", (group, other)
        inner = (("create", (group,)), ("add", (group, *BULK[:20])), ("remove", (other, "a")))
        yield "transaction", inner
        yield "delete", (other,)


def perform(groups: Groups, call: Call) -> None:
    method, arguments = call
    if method != "transaction":
        getattr(groups, method)(*arguments)
        return
    with groups.transaction() as transaction:
        for inner, its_arguments in arguments:
            getattr(transaction, inner)(*its_arguments)


def imagine(model: Model, call: Call) -> None:
    """Do to the model what the call does to the file."""
    match call:
        case "create", (name,):
            model[name] = set()
        case "delete", (name,):
            del model[name]
        case "rename", (name, new_name):
            model[new_name] = model.pop(name)
        case "add", (name, *topics):
            model[name].update(topics)
        case "remove", (name, *topics):
            model[name].difference_update(topics)
        case "set_topics", (name, topics):
            model[name] = set(topics)
        case "transaction", inner:
            for each in inner:
                imagine(model, each)


def contents(groups: Groups | Transaction) -> Model:
    return {name: set(groups.topics(name)) for name in groups}


def perform_and_die(
    database: str, synchronous: Literal["full", "normal"], call: Call, pipe: Connection
) -> None:
    groups = beryl_groups.start(database, synchronous=synchronous)
    perform(groups, call)
    pipe.send_bytes(b"acknowledged")
    os.kill(os.getpid(), signal.SIGKILL)


def perform_until_killed(database: str, seed: int, pipe: Connection) -> None:
    groups = beryl_groups.start(database)
    for call in itertools.islice(calls(), seed, None):
        perform(groups, call)
        pipe.send_bytes(b"acknowledged")


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_what_a_killed_process_had_acknowledged_is_there(
    database: str, synchronous: Literal["full", "normal"], times: Callable[[int, int], int]
) -> None:
    """After a SIGKILL right behind a call that returned, the call and all before it are there."""
    model: Model = {}
    for call in itertools.islice(calls(), 104 if processes.THOROUGH else times(24, 4)):
        reader, writer = processes.context.Pipe(duplex=False)
        process = processes.start(perform_and_die, database, synchronous, call, writer)
        writer.close()
        with reader:
            assert reader.poll(processes.PATIENCE)
            assert reader.recv_bytes() == b"acknowledged"
        processes.finish_killed(process)
        imagine(model, call)
        with beryl_groups.start(database) as groups:
            assert contents(groups) == model, call
            assert groups.check() == []


def test_a_process_killed_at_any_moment_leaves_whole_calls(
    database: str, times: Callable[[int, int], int]
) -> None:
    """A SIGKILL while writing leaves what was acknowledged, and at most one call more, whole."""
    chance = random.Random(3)
    model: Model = {}
    done = 0
    for _ in range(times(40, 4)):
        reader, writer = processes.context.Pipe(duplex=False)
        process = processes.start(perform_until_killed, database, done, writer)
        writer.close()
        acknowledged = 0
        with reader:
            for _ in range(chance.randint(1, 12)):
                assert reader.poll(processes.PATIENCE)
                reader.recv_bytes()
                acknowledged += 1
            process.kill()
            processes.finish_killed(process)
            acknowledged += len(list(rest_of(reader)))
        ahead = list(itertools.islice(calls(), done, done + acknowledged + 1))
        for call in ahead[:-1]:
            imagine(model, call)
        done += acknowledged
        with beryl_groups.start(database) as groups:
            assert groups.check() == []
            found = contents(groups)
        if found != model:
            imagine(model, ahead[-1])
            done += 1
        assert found == model


def rest_of(reader: Connection) -> Iterator[bytes]:
    while True:
        try:
            yield reader.recv_bytes()
        except EOFError:
            return


def test_a_call_that_did_not_end_leaves_nothing(database: str) -> None:
    """A process that is killed inside a transaction leaves nothing of it, and no lock."""
    with beryl_groups.start(database) as groups:
        groups.create("before")
    process = processes.start(die_in_a_transaction, database)
    processes.finish_killed(process)
    with beryl_groups.start(database, busy_timeout=0) as groups:
        assert contents(groups) == {"before": set()}
        groups.add("before", "a")
        assert groups.check() == []


def die_in_a_transaction(database: str) -> None:
    groups = beryl_groups.start(database)
    with groups.transaction() as transaction:
        transaction.create("group")
        for turn in range(100):  # more than SQLite keeps in memory before it writes to the WAL
            transaction.add("group", *(f"{turn}:{number}:{'x' * 500}" for number in range(100)))
        os.kill(os.getpid(), signal.SIGKILL)
