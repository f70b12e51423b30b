"""URLs from a file or a pipe: one a line, blank lines and lines that begin with # left out. Any length of file."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.errors import UsageError

CHUNK_BYTES = 64 * 1024
MAX_LINE_BYTES = 64 * 1024
"""Far beyond the 2,048 bytes of a URL that the service takes, so that it is the service that refuses it."""


class LineSplitter:
    """Cuts what is read into URLs; holds no more than the line that is not complete yet."""

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0

    def feed(self, piece: bytes) -> Iterator[str]:
        """The URLs completed by `piece`, up to a line that is too long or not UTF-8: for that, UsageError."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if url := self._url(line):
                yield url
        if len(self._rest) > MAX_LINE_BYTES:
            raise UsageError(f"line {self._number + 1} is longer than {MAX_LINE_BYTES:,} bytes")

    def end(self) -> list[str]:
        """The last line's URL, where the file does not end in a newline."""
        url = self._url(self._rest)
        return [url] if url else []

    def _url(self, line: bytes) -> str:
        self._number += 1
        try:
            # Files from Windows may begin with a byte order mark.
            text = line.decode("utf-8-sig" if self._number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise UsageError(f"line {self._number} is not UTF-8") from None
        return "" if text.startswith("#") else text


async def read(source: str) -> AsyncIterator[str]:
    """The URLs in the file `source`; "-" is standard input. Raises UsageError where it cannot be read."""
    lines = LineSplitter()
    try:
        with _open(source) as descriptor:
            while piece := await _read_available(descriptor):
                for url in lines.feed(piece):
                    yield url
        for url in lines.end():
            yield url
    except (OSError, UsageError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{name(source)}: {reason}") from None


def name(source: str) -> str:
    """What a person calls it."""
    return "standard input" if source == "-" else f"--file {source}"


@contextmanager
def _open(source: str) -> Iterator[int]:
    if source == "-":
        yield 0
        return
    descriptor = os.open(Path(source), os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _read_available(descriptor: int) -> bytes:
    """What can be read now, at least a byte; empty at the end.

    A pipe or terminal is waited for by the loop: a thread that waits in read() could not be ended by Ctrl-C. A regular
    file is always "readable", and epoll takes none, so a thread reads it.
    """
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        await _read_urls(descriptor)
    return await asyncio.to_thread(os.read, descriptor, CHUNK_BYTES)


async def _read_urls(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        loop.add_reader(descriptor, readable.set)
    except PermissionError:
        # epoll does not take every device (/dev/null); such a one does not wait.
        return
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
