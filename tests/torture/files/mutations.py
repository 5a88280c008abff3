"""What may happen to the bytes of a database, by accident or by intent.

A mutation takes the source of all chance and a base, and gives other files; which pages, cells and
fields there are is in https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from tests.torture.files import log
from tests.torture.files.bases import DATABASE, JOURNAL, SHM, WAL, Base

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Files = dict[str, bytes]
Mutation: TypeAlias = "Callable[[Random, Base], bytes]"

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

# Place and length of each field of the header of a database.
FIELDS = (
    (0, 4), (12, 4), (16, 2), (18, 1), (19, 1), (20, 1), (21, 1), (22, 1), (23, 1), (24, 4),
    (28, 4), (32, 4), (36, 4), (40, 4), (44, 4), (48, 4), (52, 4), (56, 4), (60, 4), (64, 4),
    (68, 4), (72, 4), (92, 4), (96, 4),
)  # fmt: skip
KINDS_OF_PAGE = bytes([0, 1, 2, 5, 10, 13, 255])
PAGE_SIZES = (1, 256, 512, 1024, 2048, 4096, 8192, 32768)


def put(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def odd_number(chance: Random, length: int) -> bytes:
    number = chance.choice([*EXTREMES, chance.getrandbits(32), chance.getrandbits(8)])
    return number.to_bytes(4, "big")[-length:]


def flipped(chance: Random, data: bytes, first: int = 0, end: int | None = None) -> bytes:
    """Flip from one bit to some within a range of bytes."""
    changed = bytearray(data)
    end = len(data) if end is None else min(end, len(data))
    for _ in range(chance.choice([1, 1, 1, 2, 4, 16, 64])):
        if first < end:
            changed[chance.randrange(first, end)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(chance: Random, data: bytes, unit: int) -> bytes:
    """Cut a file off anywhere, or where a unit of it ends."""
    length = chance.randrange(len(data) + 1)
    return data[: length - length % unit] if chance.random() < 0.5 else data[:length]


def a_page(chance: Random, base: Base) -> tuple[int, int]:
    """Choose a page; return where it begins, and where its own header does."""
    pages = len(base.files[DATABASE]) // base.page_size
    number = chance.choice([0, 1, 2, 3, chance.randrange(pages), chance.randrange(pages)])
    start = min(number, pages - 1) * base.page_size
    return start, start + (100 if start == 0 else 0)


def flip_bits(chance: Random, base: Base) -> bytes:
    return flipped(chance, base.files[DATABASE])


def flip_bits_of_the_header(chance: Random, base: Base) -> bytes:
    return flipped(chance, base.files[DATABASE], 0, 100)


def flip_bits_of_the_schema(chance: Random, base: Base) -> bytes:
    return flipped(chance, base.files[DATABASE], 100, base.page_size)


def flip_bits_of_a_page(chance: Random, base: Base) -> bytes:
    start, _ = a_page(chance, base)
    return flipped(chance, base.files[DATABASE], start, start + base.page_size)


def set_a_field_of_the_header(chance: Random, base: Base) -> bytes:
    data = base.files[DATABASE]
    for place, length in chance.sample(FIELDS, chance.choice([1, 1, 2])):
        data = put(data, place, odd_number(chance, length))
    return data


def claim_another_page_size(chance: Random, base: Base) -> bytes:
    return put(base.files[DATABASE], 16, chance.choice(PAGE_SIZES).to_bytes(2, "big"))


def set_a_field_of_a_page(chance: Random, base: Base) -> bytes:
    _, header = a_page(chance, base)
    if chance.random() < 0.3:
        return put(base.files[DATABASE], header, bytes([chance.choice(KINDS_OF_PAGE)]))
    place, length = chance.choice([(1, 2), (3, 2), (5, 2), (7, 1), (8, 4)])
    return put(base.files[DATABASE], header + place, odd_number(chance, length))


def point_to_other_cells(chance: Random, base: Base) -> bytes:
    start, header = a_page(chance, base)
    data = base.files[DATABASE]
    cells = int.from_bytes(data[header + 3 : header + 5], "big")
    first = header + (12 if data[header] in {2, 5} else 8)
    for _ in range(chance.choice([1, 2, 8])):
        place = min(first + 2 * chance.randrange(cells + 1), len(data) - 2)
        other = chance.randrange(base.page_size).to_bytes(3, "big")[-2:]
        data = put(data, place, other)
    return data[: len(base.files[DATABASE])] if start >= 0 else data


def overwrite_cells(chance: Random, base: Base) -> bytes:
    """Put long numbers, large lengths and odd types where cells are."""
    start, header = a_page(chance, base)
    data = base.files[DATABASE]
    for _ in range(chance.choice([1, 2, 5])):
        place = chance.randrange(header + 8, start + base.page_size)
        new = chance.choice([b"\xff" * 9, b"\x81\x00", b"\x00", b"\x0a\x0b", b"\x8f\xff\x7f"])
        data = put(data, place, new)[: len(data)]
    return data


def swap_pages(chance: Random, base: Base) -> bytes:
    data, size = base.files[DATABASE], base.page_size
    (one, _), (two, _) = a_page(chance, base), a_page(chance, base)
    first, second = data[one : one + size], data[two : two + size]
    return put(put(data, one, second), two, first)


def copy_a_page_over_another(chance: Random, base: Base) -> bytes:
    data, size = base.files[DATABASE], base.page_size
    (one, _), (two, _) = a_page(chance, base), a_page(chance, base)
    return put(data, two, data[one : one + size])


def lose_a_page(chance: Random, base: Base) -> bytes:
    start, _ = a_page(chance, base)
    size = base.page_size
    new = chance.choice([bytes(size), b"\xff" * size, chance.randbytes(size), bytes(size // 2)])
    return put(base.files[DATABASE], start, new)


def cut_off(chance: Random, base: Base) -> bytes:
    return cut(chance, base.files[DATABASE], base.page_size)


def grow(chance: Random, base: Base) -> bytes:
    more = chance.choice([1, 100, base.page_size, 3 * base.page_size])
    return base.files[DATABASE] + chance.choice([bytes(more), chance.randbytes(more)])


OF_THE_DATABASE: tuple[Mutation, ...] = (
    flip_bits,
    flip_bits_of_the_header,
    flip_bits_of_the_schema,
    flip_bits_of_a_page,
    set_a_field_of_the_header,
    claim_another_page_size,
    set_a_field_of_a_page,
    point_to_other_cells,
    overwrite_cells,
    swap_pages,
    copy_a_page_over_another,
    lose_a_page,
    cut_off,
    grow,
)


def change_the_database(chance: Random, base: Base) -> tuple[str, Files]:
    mutation = chance.choice(OF_THE_DATABASE)
    files = {**base.files, DATABASE: mutation(chance, base)}
    if chance.random() < 0.05:
        files[SHM] = chance.randbytes(chance.choice([0, 100, 32768]))
    return mutation.__name__, files


def change_the_log(chance: Random, base: Base) -> tuple[str, Files]:
    """Change the WAL, and often make it pass for sound all the same."""
    wal = base.files[WAL]
    header, parts = wal[: log.HEADER], log.frames(wal)
    one, two = chance.randrange(len(parts)), chance.randrange(len(parts))
    kind = chance.choice(["flip", "cut", "order", "order", "salts", "header", "frame"])
    if kind == "flip":
        parts[one] = flipped(chance, parts[one], chance.choice([0, log.FRAME_HEADER]))
    elif kind == "order":  # a frame comes in the place of another, before it, or not at all
        parts[two : two + chance.randrange(2)] = [parts[one]] * chance.randrange(2)
    elif kind == "frame":  # the number of its page, or the size of the database after a commit
        parts[one] = put(parts[one], chance.choice([0, 4]), odd_number(chance, 4))
    elif kind == "salts":
        parts[one] = put(parts[one], 8, chance.randbytes(8))
    elif kind == "header":
        header = put(header, 4 * chance.randrange(8), odd_number(chance, 4))
    changed = log.joined(header, parts)
    if kind == "cut":
        changed = cut(chance, changed, log.FRAME_HEADER + base.page_size)
    elif kind != "header" and chance.random() < 0.7:
        changed, kind = log.sealed(changed), f"{kind}, sealed"
    files = {**base.files, WAL: changed}
    if chance.random() < 0.1:
        files[SHM] = chance.randbytes(32768)
    return f"the log: {kind}", files


def change_the_journal(chance: Random, base: Base) -> tuple[str, Files]:
    """Change a rollback journal: https://www.sqlite.org/fileformat2.html#the_rollback_journal."""
    journal = base.files[JOURNAL]
    kind = chance.choice(["flip", "cut", "header", "page", "name", "grow"])
    if kind == "flip":
        journal = flipped(chance, journal, 0, chance.choice([28, None]))
    elif kind == "cut":
        journal = cut(chance, journal, 512)
    elif kind == "header":
        journal = put(journal, chance.choice([0, 8, 12, 16, 20, 24]), odd_number(chance, 4))
    elif kind == "page":
        record = 512 + chance.randrange(8) * (8 + base.page_size)
        journal = put(journal, record, odd_number(chance, 4))
    elif kind == "name":
        name = chance.choice([b"/nowhere/x-mj", b"groups.db", chance.randbytes(20)])
        end = len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big")
        journal += bytes(4) + name + end + bytes.fromhex("d9d505f920a163d7")
    else:
        journal += chance.choice([bytes(512), chance.randbytes(2000), journal])
    return f"the journal: {kind}", {**base.files, JOURNAL: journal}


def mix_files(chance: Random, one: Base, other: Base) -> tuple[str, Files]:
    """Put what lies beside one database beside another."""
    beside = {ending: data for ending, data in other.files.items() if ending != DATABASE}
    return f"files of {other.name} beside it", {**one.files, **beside}
