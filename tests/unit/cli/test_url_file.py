"""URLs are read in chunks, from files and pipes."""

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.errors import UsageError
from cli.url_file import CHUNK_BYTES, MAX_LINE_BYTES, LineSplitter, read


def urls_of(chunks: list[bytes]) -> list[str]:
    lines = LineSplitter()
    urls = [url for chunk in chunks for url in lines.feed(chunk)]
    return urls + lines.end()


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        (b"", []),
        (b"http://a/", ["http://a/"]),
        (b"http://a/\nhttp://b/\n", ["http://a/", "http://b/"]),
        (b"http://a/\r\nhttp://b/\r\n", ["http://a/", "http://b/"]),
        (b"\n\n  \n# a comment\n  # another\n http://a/ \n", ["http://a/"]),
        (b"http://a/#fragment\n", ["http://a/#fragment"]),
        (b"\xef\xbb\xbfhttp://a/\n", ["http://a/"]),
        ("http://ä/\n".encode(), ["http://ä/"]),
        ("http://a/b c\u00a0\t\n\u3000\n".encode(), ["http://a/b c\u00a0", "\u3000"]),
    ],
)
def test_lines(text: bytes, urls: list[str]) -> None:
    """One URL per line. Blank lines, comments and spaces around a URL are skipped."""
    assert urls_of([text]) == urls


@given(st.lists(st.sampled_from(["http://a/", "http://ä/x", "", "# no"])), st.data())
def test_chunk_boundaries_do_not_matter(lines: list[str], data: st.DataObject) -> None:
    """The URLs are the same for all chunk boundaries, also within a character."""
    text = "\n".join(lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    edges = [0, *cuts, len(text)]
    chunks = [text[start:end] for start, end in pairwise(edges)]
    assert urls_of(chunks) == urls_of([text])


def test_a_line_that_is_too_long_is_refused() -> None:
    """So that memory is bounded. The error has the line number."""
    lines = LineSplitter()
    assert list(lines.feed(b"http://a/\n")) == ["http://a/"]
    assert not list(lines.feed(bytes(MAX_LINE_BYTES)))
    with pytest.raises(UsageError, match="line 2 is longer"):
        list(lines.feed(b"x"))


def test_a_line_that_is_not_utf_8_is_refused() -> None:
    """The URLs before it are returned first. The error has the line number."""
    urls = LineSplitter().feed(b"http://a/\n\n\xff\nhttp://b/\n")
    assert next(urls) == "http://a/"
    with pytest.raises(UsageError, match="line 3 is not UTF-8"):
        next(urls)


async def test_a_file_larger_than_a_chunk(tmp_path: Path) -> None:
    """It is read to its end, in order."""
    urls = [f"http://origin/{number:06}.png" for number in range(CHUNK_BYTES // 8)]
    file = tmp_path / "urls.txt"
    await asyncio.to_thread(file.write_text, "\n".join(urls))
    assert [url async for url in read(str(file))] == urls


async def test_a_pipe_is_read_as_it_is_written(tmp_path: Path) -> None:
    """A URL is returned before the pipe ends."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = await asyncio.to_thread(os.open, pipe, os.O_RDWR)
    urls = read(str(pipe))
    await asyncio.to_thread(os.write, writing, b"http://a/\nhttp://b")
    assert await anext(urls) == "http://a/"
    await asyncio.to_thread(os.write, writing, b"/\n")
    assert await anext(urls) == "http://b/"
    await urls.aclose()  # type: ignore[attr-defined]  # read is an asynchronous generator
    os.close(writing)


async def test_a_missing_file(tmp_path: Path) -> None:
    """It is a usage error with the name of the file."""
    with pytest.raises(UsageError, match=r"none\.txt: No such file"):
        [url async for url in read(str(tmp_path / "none.txt"))]


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    """It can be opened but not read, and the error has its name."""
    with pytest.raises(UsageError, match=f"--file {tmp_path}: Is a directory"):
        [url async for url in read(str(tmp_path))]
