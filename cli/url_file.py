"""Read URLs from a file or a pipe of any length: one per line, without blank lines and lines that begin with #."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.errors import UsageError

CHUNK_BYTES = 64 * 1024
MAX_LINE_BYTES = 64 * 1024
"""Far more than the 8,190 bytes of a URL that the service accepts, so that the service reports a long URL."""


_WHITESPACE = " \t\r\f"
"""Characters that the service ignores at the ends of a URL. A no-break space is a part of the URL."""


class LineSplitter:
    """Splits the input into URLs. It buffers only the incomplete last line."""

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0

    def feed(self, piece: bytes) -> Iterator[str]:
        """Yield the URLs that `piece` completes. Raises UsageError at a line that is too long or not UTF-8."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if url := self._url(line):
                yield url
        if len(self._rest) > MAX_LINE_BYTES:
            raise UsageError(f"line {self._number + 1} is longer than {MAX_LINE_BYTES:,} bytes")

    def end(self) -> list[str]:
        """Return the URL of the last line if the file does not end in a newline."""
        url = self._url(self._rest)
        return [url] if url else []

    def _url(self, line: bytes) -> str:
        self._number += 1
        try:
            # Files from Windows may begin with a byte order mark.
            text = line.decode("utf-8-sig" if self._number == 1 else "utf-8").strip(_WHITESPACE)
        except UnicodeDecodeError:
            raise UsageError(f"line {self._number} is not UTF-8") from None
        return "" if text.startswith("#") else text


async def read(source: str) -> AsyncIterator[str]:
    """Yield the URLs in the file `source`; "-" is standard input. Raises UsageError if it cannot be read."""
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
    """Read the available bytes, at least one; return an empty result at the end.

    The event loop waits for a pipe or a terminal: a thread blocked in read() could not be ended by Ctrl-C. A thread
    reads a regular file, because epoll does not accept one.
    """
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        await _wait_until_readable(descriptor)
    return await asyncio.to_thread(os.read, descriptor, CHUNK_BYTES)


async def _wait_until_readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        loop.add_reader(descriptor, readable.set)
    except PermissionError:
        # epoll does not accept every device (/dev/null); reads of such a device do not block.
        return
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
