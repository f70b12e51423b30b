"""URLs from a file or a pipe: one a line, blank lines and lines that begin with # left out. Any length of file."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.errors import UsageFault

PIECE = 64 * 1024
LONGEST_LINE = 64 * 1024
"""Far beyond the 2,048 bytes of a URL that the service takes, so that it is the service that refuses it."""


class Lines:
    """Cuts what is read into URLs; holds no more than the line that is not complete yet."""

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0

    def feed(self, piece: bytes) -> Iterator[str]:
        """The URLs completed by `piece`, up to a line that is too long or not UTF-8: for that, UsageFault."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if url := self._url(line):
                yield url
        if len(self._rest) > LONGEST_LINE:
            raise UsageFault(f"line {self._number + 1} is longer than {LONGEST_LINE:,} bytes")

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
            raise UsageFault(f"line {self._number} is not UTF-8") from None
        return "" if text.startswith("#") else text


async def read(source: str) -> AsyncIterator[str]:
    """The URLs in the file `source`; "-" is standard input. Raises UsageFault where it cannot be read."""
    lines = Lines()
    try:
        with _opened(source) as descriptor:
            while piece := await _available(descriptor):
                for url in lines.feed(piece):
                    yield url
        for url in lines.end():
            yield url
    except (OSError, UsageFault) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageFault(f"{name(source)}: {reason}") from None


def name(source: str) -> str:
    """What a person calls it."""
    return "standard input" if source == "-" else f"--file {source}"


@contextmanager
def _opened(source: str) -> Iterator[int]:
    if source == "-":
        yield 0
        return
    descriptor = os.open(Path(source), os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _available(descriptor: int) -> bytes:
    """What can be read now, at least a byte; empty at the end.

    A pipe or terminal is waited for by the loop: a thread that waits in read() could not be ended by Ctrl-C. A regular
    file is always "readable", and epoll takes none, so a thread reads it.
    """
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        await _readable(descriptor)
    return await asyncio.to_thread(os.read, descriptor, PIECE)


async def _readable(descriptor: int) -> None:
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
