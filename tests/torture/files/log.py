"""The format of a WAL, so far that a changed one can be made to pass for sound.

https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import struct

HEADER, FRAME_HEADER = 32, 24


def frames(wal: bytes) -> list[bytes]:
    """Return the frames of a WAL, each with its header."""
    size = FRAME_HEADER + struct.unpack(">I", wal[8:12])[0]
    return [wal[start : start + size] for start in range(HEADER, len(wal) - size + 1, size)]


def joined(header: bytes, parts: list[bytes]) -> bytes:
    return header[:HEADER] + b"".join(parts)


def sealed(wal: bytes, salt: bytes | None = None) -> bytes:
    """Return a WAL whose salts and checksums are right, whatever is in it."""
    order = ">" if wal[3] & 1 else "<"
    salt = wal[16:24] if salt is None else salt
    header = wal[:16] + salt
    state = _checksum(order, (0, 0), header)
    done = [header + struct.pack(">II", *state)]
    for frame in frames(wal):
        state = _checksum(order, state, frame[:8] + frame[FRAME_HEADER:])
        done += [frame[:8], salt, struct.pack(">II", *state), frame[FRAME_HEADER:]]
    return b"".join(done)


def _checksum(order: str, state: tuple[int, int], data: bytes) -> tuple[int, int]:
    first, second = state
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
