"""SHA-256 of files below an open directory, in this process or in a helper that runs this very file as a program.

Needs nothing but the standard library, so that a helper starts in a hundredth of a second. A helper inherits the
descriptor of the directory; it is asked over its standard input and answers over its standard output:

    request   length (8 bytes), then the folder, and size and name of each file, all ended by a zero byte
    answer    for each file: whether it was read to its end (1 byte), bytes read (8), SHA-256 (32)

Numbers are little-endian. Who uses helpers, and when, is `hashing`'s.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
GREETING = b"sensai-release digests 1\n"
"""What a helper says first; whatever says something else is no helper."""
LENGTH = struct.Struct("<Q")
ANSWER = struct.Struct("<?Q32s")
_CHUNK = 1 << 20
_NOTHING = bytes(32)
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})

Read = tuple[bool, int, bytes]
"""What was read of a file: whether all of it, how many bytes, and their SHA-256 (zeros unless all was read)."""


@contextmanager
def open_parent(folder: int, path: str) -> Iterator[int]:
    """The descriptor of a folder below an open directory, reached through no link; `folder` itself for no path."""
    opened: list[int] = []
    try:
        for name in path.split("/") if path else ():
            opened.append(os.open(name, OPEN_FOLDER, dir_fd=opened[-1] if opened else folder))
        yield opened[-1] if opened else folder
    finally:
        for descriptor in opened:
            os.close(descriptor)


def hash_batch(folder: int, parent: str, files: Sequence[tuple[str, int]]) -> list[Read]:
    """Files in one folder below an open directory, by name and expected size in bytes.

    At most one byte more than the expected size is read; of a longer file, the size on disk is told. Raises `OSError`
    where this machine lacks descriptors or memory: that says nothing about the files.
    """
    buffer = memoryview(bytearray(min(_CHUNK, 1 + max(size for _, size in files))))
    try:
        with open_parent(folder, parent) as opened:
            return [_hash_file(opened, name, expected, buffer) for name, expected in files]
    except OSError as error:
        if error.errno in _SHORTAGES:
            raise
        return [(False, 0, _NOTHING)] * len(files)


def _hash_file(parent: int, name: str, expected: int, buffer: memoryview) -> Read:
    state, size = hashlib.sha256(), 0
    try:
        # Plain descriptors: a file object would cost as much as hashing a small file.
        descriptor = os.open(name, OPEN_FILE, dir_fd=parent)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return False, 0, _NOTHING
            while count := os.readv(descriptor, [buffer[: expected + 1 - size]]):
                state.update(buffer[:count])
                size += count
                if size > expected:
                    return False, os.fstat(descriptor).st_size, _NOTHING
                if size == expected == status.st_size and count < len(buffer):
                    break  # room was left for one byte more, and none came: this is the end
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in _SHORTAGES:
            raise
        return False, size, _NOTHING
    return True, size, state.digest()


def request(parent: str, files: Sequence[tuple[str, int]]) -> bytes:
    """The request for one batch."""
    words = [os.fsencode(parent), *(word for name, size in files for word in (b"%d" % size, os.fsencode(name)))]
    data = b"".join(word + b"\0" for word in words)
    return LENGTH.pack(len(data)) + data


def serve(folder: int, questions: BinaryIO, answers: BinaryIO) -> None:
    """Answers requests until there are no more."""
    answers.write(GREETING)
    answers.flush()
    while len(head := questions.read(LENGTH.size)) == LENGTH.size:
        parent, *words = (os.fsdecode(word) for word in questions.read(LENGTH.unpack(head)[0]).split(b"\0")[:-1])
        files = list(zip(words[1::2], map(int, words[::2]), strict=True))
        answers.write(b"".join(ANSWER.pack(*read) for read in hash_batch(folder, parent, files)))
        answers.flush()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
